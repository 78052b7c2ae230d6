# Tests of train.
herd_test(train/parts LIBRARIES herd_train nlohmann_json::nlohmann_json)
