# Tests of parity.
add_executable(safetensors_probe parity/safetensors_probe.cpp)
target_link_libraries(safetensors_probe PRIVATE herd_runtime)
target_precompile_headers(safetensors_probe REUSE_FROM herd_pch)
herd_python_test(parity/files)
