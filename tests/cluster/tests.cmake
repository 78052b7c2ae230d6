# Tests of cluster: several nodes on one machine, by cluster/testbed and cluster/slurm. Without the right to make network namespaces, or without SLURM's packages, they skip.
herd_python_test(cluster/nodes)
herd_python_test(cluster/delay)
herd_python_test(cluster/launch TIMEOUT 600)
herd_python_test(cluster/slurm TIMEOUT 1800)
add_test(NAME cluster/files COMMAND ${HERD_TEST_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/cluster/files_test.py)
set_tests_properties(cluster/files PROPERTIES LABELS "cluster;fast" TIMEOUT 60)
set_tests_properties(cluster/nodes cluster/delay cluster/launch cluster/slurm PROPERTIES PROCESSORS 2)
