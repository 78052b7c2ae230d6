# Tests of cluster: several nodes on one machine, by cluster/testbed. Without the right to make network namespaces they skip.
herd_python_test(cluster/nodes)
herd_python_test(cluster/delay)
set_tests_properties(cluster/nodes cluster/delay PROPERTIES PROCESSORS 2)
