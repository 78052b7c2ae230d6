# Tests of cluster: several nodes on one machine, by cluster/testbed. Without the right to make network namespaces they skip.
herd_python_test(cluster/nodes)
herd_python_test(cluster/delay)
herd_python_test(cluster/launch TIMEOUT 600)
set_tests_properties(cluster/nodes cluster/delay cluster/launch PROPERTIES PROCESSORS 2)
