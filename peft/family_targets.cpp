#include "peft/family_targets.h"

namespace herd {
namespace {

FamilyTargets llama() {
  return {.lora = {"q_proj", "v_proj"},
          .ia3 = {"k_proj", "v_proj", "down_proj"},
          .ia3_feedforward = {"down_proj"},
          .attention_in = {"q_proj", "k_proj", "v_proj"},
          .mlp_in = {"gate_proj", "up_proj"},
          .mlp_out = {"down_proj"}};
}

FamilyTargets qwen() {
  auto targets = llama();
  targets.ia3 = {"q_proj", "v_proj", "down_proj"};
  return targets;
}

FamilyTargets baichuan() {
  auto targets = llama();
  targets.lora = targets.attention_in = {"W_pack"};
  targets.ia3 = {"W_pack", "down_proj"};
  return targets;
}

FamilyTargets phi() {
  return {.lora = {"q_proj", "v_proj", "fc1", "fc2"},
          .ia3 = {"q_proj", "v_proj", "fc2"},
          .ia3_feedforward = {"fc2"},
          .attention_in = {"q_proj", "k_proj", "v_proj"},
          .mlp_in = {"fc1"},
          .mlp_out = {"fc2"}};
}

// Queries, keys and values made by one matrix.
FamilyTargets fused(std::string qkv, std::string in, std::string out) {
  return {.lora = {qkv}, .ia3 = {qkv, out}, .ia3_feedforward = {out}, .attention_in = {qkv}, .mlp_in = {std::move(in)}, .mlp_out = {out}};
}

}  // namespace

const Table<FamilyTargets>& family_targets() {
  static const Table<FamilyTargets> table{"model family",
                                          {
                                              {"llama", llama()},
                                              {"mistral", llama()},
                                              {"qwen2", qwen()},
                                              {"qwen3", qwen()},
                                              {"internlm", llama()},
                                              {"baichuan", baichuan()},
                                              {"gpt2", fused("c_attn", "c_fc", "mlp.c_proj")},
                                              {"phi", phi()},
                                              {"bloom", fused("query_key_value", "dense_h_to_4h", "mlp.dense_4h_to_h")},
                                              {"moss", fused("qkv_proj", "fc_in", "fc_out")},
                                              {"codegen", fused("qkv_proj", "fc_in", "fc_out")},
                                              {"chatglm", fused("query_key_value", "dense_h_to_4h", "dense_4h_to_h")},
                                              {"chatglm2", fused("query_key_value", "dense_h_to_4h", "dense_4h_to_h")},
                                          }};
  return table;
}

}  // namespace herd
