# Tests of data.
herd_test(data/records NO_TORCH LIBRARIES herd_data nlohmann_json::nlohmann_json)
herd_test(data/batches LIBRARIES herd_data)
herd_test(data/tokenizer NO_TORCH LIBRARIES herd_data nlohmann_json::nlohmann_json)
herd_test(data/tokenizer_assets NO_TORCH LIBRARIES herd_data nlohmann_json::nlohmann_json)
add_executable(tokenizer_probe data/tokenizer_probe.cpp)
target_link_libraries(tokenizer_probe PRIVATE herd_data nlohmann_json::nlohmann_json)
set_target_properties(tokenizer_probe PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
herd_python_test(data/tokenizer_parity TIMEOUT 600)
