# Tests of parallel.
herd_test(parallel/communicator LIBRARIES herd_parallel)
herd_test(parallel/device_communicator LIBRARIES herd_parallel)
herd_test(parallel/ddp LIBRARIES herd_parallel herd_models herd_data nlohmann_json::nlohmann_json)
herd_test(parallel/checkpoint LIBRARIES herd_parallel)
herd_test(parallel/checkpoint_faults LIBRARIES herd_parallel)
herd_test(parallel/zero LIBRARIES herd_parallel herd_models herd_peft herd_train herd_data nlohmann_json::nlohmann_json)
herd_test(parallel/reshard LIBRARIES herd_parallel herd_models herd_peft herd_train nlohmann_json::nlohmann_json)
herd_test(parallel/checkpoint_kill LIBRARIES herd_parallel)
