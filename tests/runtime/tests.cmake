# Tests of runtime.
herd_test(runtime/random NO_TORCH LIBRARIES herd_runtime)
herd_test(runtime/base NO_TORCH LIBRARIES herd_runtime)
herd_test(runtime/config NO_TORCH LIBRARIES herd_runtime)
herd_test(runtime/report NO_TORCH LIBRARIES herd_runtime)
herd_test(runtime/safetensors LIBRARIES herd_runtime)
herd_test(runtime/hdf5 LIBRARIES herd_runtime)
herd_test(runtime/layers LIBRARIES herd_runtime nlohmann_json::nlohmann_json)
herd_test(runtime/attention LIBRARIES herd_runtime nlohmann_json::nlohmann_json)
