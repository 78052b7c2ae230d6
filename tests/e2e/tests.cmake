# Tests of e2e.
herd_python_test(e2e/train)
herd_python_test(e2e/faults)
set_tests_properties(e2e/train e2e/faults PROPERTIES PROCESSORS 2)
