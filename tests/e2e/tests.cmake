# Tests of e2e.
herd_python_test(e2e/train)
herd_python_test(e2e/faults)
herd_python_test(e2e/spread)
herd_python_test(e2e/real)
set_tests_properties(e2e/train e2e/faults e2e/spread e2e/real PROPERTIES PROCESSORS 2)
