# Tests of parallel.
herd_test(parallel/communicator LIBRARIES herd_parallel)
herd_test(parallel/device_communicator LIBRARIES herd_parallel)
herd_test(parallel/ddp LIBRARIES herd_parallel herd_models herd_data nlohmann_json::nlohmann_json)
herd_test(parallel/checkpoint LIBRARIES herd_parallel)
herd_test(parallel/checkpoint_faults LIBRARIES herd_parallel)
herd_test(parallel/checkpoint_kill LIBRARIES herd_parallel)
herd_test(parallel/zero LABELS slow TIMEOUT 400 LIBRARIES herd_parallel herd_models herd_peft herd_train herd_data nlohmann_json::nlohmann_json)
herd_test(parallel/reshard LABELS slow TIMEOUT 400 LIBRARIES herd_parallel herd_models herd_peft herd_train nlohmann_json::nlohmann_json)
herd_test(parallel/memory LABELS slow TIMEOUT 400 LIBRARIES herd_parallel herd_models herd_peft herd_train herd_data nlohmann_json::nlohmann_json)
herd_test(parallel/overlap LABELS slow LIBRARIES herd_parallel herd_models herd_data nlohmann_json::nlohmann_json)
set_tests_properties(parallel/overlap PROPERTIES RUN_SERIAL TRUE)  # it measures times
