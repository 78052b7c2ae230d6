# Tests of parallel.
herd_test(parallel/communicator LIBRARIES herd_parallel)
