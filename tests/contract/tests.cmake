# Tests of contract.
herd_test(contract/families LIBRARIES herd_models herd_parallel nlohmann_json::nlohmann_json)
herd_test(contract/config NO_TORCH LIBRARIES herd_launch)
add_test(NAME contract/layering COMMAND python3 ${CMAKE_CURRENT_SOURCE_DIR}/contract/layering_test.py)
set_tests_properties(contract/layering PROPERTIES LABELS "contract;fast" TIMEOUT 60)
herd_test(contract/methods LIBRARIES herd_peft herd_parallel herd_models herd_data nlohmann_json::nlohmann_json)
herd_test(contract/storages LIBRARIES herd_peft herd_parallel herd_models herd_data nlohmann_json::nlohmann_json)
