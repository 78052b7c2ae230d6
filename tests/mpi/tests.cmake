# Tests of mpi.
herd_test(mpi/communicator RANKS 1 2 3 4 LIBRARIES herd_parallel)
herd_test(mpi/failure LABELS slow LIBRARIES herd_parallel)
herd_test(mpi/traffic RANKS 1 2 3 4 LIBRARIES herd_launch nlohmann_json::nlohmann_json)
