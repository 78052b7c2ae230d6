# Tests of infer.
herd_test(infer/text NO_TORCH LIBRARIES herd_infer nlohmann_json::nlohmann_json)
herd_test(infer/engine LIBRARIES herd_infer herd_peft nlohmann_json::nlohmann_json)
herd_test(infer/shared_model LIBRARIES herd_infer nlohmann_json::nlohmann_json)
herd_test(infer/scorer LIBRARIES herd_infer herd_peft nlohmann_json::nlohmann_json)
herd_test(infer/answer_parts LIBRARIES herd_infer)
herd_test(infer/dialogue NO_TORCH LIBRARIES herd_infer nlohmann_json::nlohmann_json)
herd_test(infer/sampler NO_TORCH LIBRARIES herd_infer)
herd_test(infer/logits_processors NO_TORCH LIBRARIES herd_infer)
# What `herd serve` is made of; e2e/serve and e2e/serve_limits are the whole.
herd_test(infer/calls NO_TORCH LIBRARIES herd_server nlohmann_json::nlohmann_json)
herd_test(infer/connection NO_TORCH LIBRARIES herd_server PkgConfig::httplib)
herd_test(infer/worker LIBRARIES herd_server nlohmann_json::nlohmann_json)
# How good answers are: closed forms, and against the metrics' reference implementations.
herd_test(infer/metrics NO_TORCH LIBRARIES herd_infer)
herd_test(infer/answers NO_TORCH LIBRARIES herd_infer)
herd_test(infer/scores NO_TORCH LIBRARIES herd_infer)
# Which instructions are nearly the same.
herd_test(infer/near NO_TORCH LIBRARIES herd_infer)
# Records that a model makes up, without a model, and their culling.
herd_test(infer/instruct NO_TORCH LIBRARIES herd_infer nlohmann_json::nlohmann_json)
herd_test(infer/cull NO_TORCH LIBRARIES herd_infer nlohmann_json::nlohmann_json)
# Evaluation, without a model.
herd_test(infer/evaluate NO_TORCH LIBRARIES herd_infer)
herd_test(infer/judge NO_TORCH LIBRARIES herd_infer)
herd_test(infer/compare NO_TORCH LIBRARIES herd_infer)
add_executable(metrics_probe infer/metrics_probe.cpp)
target_link_libraries(metrics_probe PRIVATE herd_infer nlohmann_json::nlohmann_json)
set_target_properties(metrics_probe PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
herd_python_test(infer/metrics_parity TIMEOUT 600)
herd_python_test(infer/answers_parity)
herd_python_test(infer/near_parity)
