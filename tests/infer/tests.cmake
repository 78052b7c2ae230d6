# Tests of infer.
herd_test(infer/text NO_TORCH LIBRARIES herd_infer nlohmann_json::nlohmann_json)
herd_test(infer/generate LIBRARIES herd_infer herd_peft nlohmann_json::nlohmann_json)
herd_test(infer/sampler NO_TORCH LIBRARIES herd_infer)
herd_test(infer/logits_processors NO_TORCH LIBRARIES herd_infer)
