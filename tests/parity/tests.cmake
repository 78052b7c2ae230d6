# Tests of parity.
add_executable(safetensors_probe parity/safetensors_probe.cpp)
target_link_libraries(safetensors_probe PRIVATE herd_runtime)
target_precompile_headers(safetensors_probe REUSE_FROM herd_pch)
herd_python_test(parity/files)
# The model itself, asked from Python: tests/support/probe.cpp says how.
add_executable(probe support/probe.cpp)
target_link_libraries(probe PRIVATE herd_models herd_parallel herd_peft)
target_precompile_headers(probe REUSE_FROM herd_pch)
herd_python_test(parity/llama)
herd_python_test(parity/model)
herd_python_test(parity/bad_folders)
herd_python_test(parity/families)
herd_python_test(parity/peft)
herd_python_test(parity/prompt)
herd_python_test(parity/adalora)
# Generation: the program itself; how tokens are chosen, by a probe and by the program.
herd_python_test(parity/generate)
add_executable(sampler_probe parity/sampler_probe.cpp)
target_link_libraries(sampler_probe PRIVATE herd_infer nlohmann_json::nlohmann_json)
set_target_properties(sampler_probe PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
herd_python_test(parity/sampling)
# Evaluation by log-likelihood.
herd_python_test(parity/evaluate)
set_tests_properties(parity/evaluate PROPERTIES PROCESSORS 3)
# Training, the whole command.
herd_python_test(parity/train)
set_tests_properties(parity/train PROPERTIES PROCESSORS 2)
# A longer vocabulary: the commands, and whole runs.
herd_python_test(parity/extend TIMEOUT 600)
set_tests_properties(parity/extend PROPERTIES PROCESSORS 2)
herd_python_test(parity/gptq)
set_tests_properties(parity/gptq PROPERTIES PROCESSORS 2)
