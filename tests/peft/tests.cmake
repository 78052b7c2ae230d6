# Tests of peft.
herd_test(peft/adapter LIBRARIES herd_peft herd_models nlohmann_json::nlohmann_json)
herd_test(peft/adapters LIBRARIES herd_peft herd_models herd_data nlohmann_json::nlohmann_json)
herd_test(peft/adalora LIBRARIES herd_peft herd_parallel herd_models herd_data herd_train nlohmann_json::nlohmann_json)
herd_test(peft/lora LIBRARIES herd_peft herd_parallel herd_models herd_data nlohmann_json::nlohmann_json)
herd_test(peft/methods LIBRARIES herd_peft herd_parallel herd_models herd_data nlohmann_json::nlohmann_json)
herd_test(peft/lora_variants LIBRARIES herd_peft herd_train herd_parallel herd_models herd_data nlohmann_json::nlohmann_json)
