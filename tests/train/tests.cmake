# Tests of train.
herd_test(train/neftune LIBRARIES herd_train herd_peft herd_parallel herd_models herd_data nlohmann_json::nlohmann_json)
herd_test(train/parts LIBRARIES herd_train nlohmann_json::nlohmann_json)
herd_test(train/trainer LIBRARIES herd_train nlohmann_json::nlohmann_json)
