# Tests of launch.
herd_test(launch/config_command NO_TORCH LIBRARIES herd_launch)
herd_test(launch/data_command NO_TORCH LIBRARIES herd_launch nlohmann_json::nlohmann_json)
herd_test(launch/data_format_command NO_TORCH LIBRARIES herd_launch nlohmann_json::nlohmann_json)
herd_test(launch/generate_command LIBRARIES herd_launch nlohmann_json::nlohmann_json)
herd_test(launch/generate_adapters LIBRARIES herd_launch nlohmann_json::nlohmann_json)
herd_test(launch/merge_command LIBRARIES herd_launch nlohmann_json::nlohmann_json)
herd_test(launch/checkpoint_command LIBRARIES herd_launch nlohmann_json::nlohmann_json)
herd_test(launch/plan TIMEOUT 400 LIBRARIES herd_launch nlohmann_json::nlohmann_json)
