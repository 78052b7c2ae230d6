# Tests of data.
herd_test(data/records NO_TORCH LIBRARIES herd_data nlohmann_json::nlohmann_json)
herd_test(data/batches LIBRARIES herd_data)
