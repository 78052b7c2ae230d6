// The config.json of a model: what is missing, out of range or unknown is told by its key.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "models/hub.h"
#include "tests/support/errors.h"
#include "tests/support/shape_of_family.h"
#include "tests/support/small_config.h"

namespace herd::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

struct BadConfig {
  nlohmann::json changes;
  std::vector<std::string> words;
};

TEST(Config, WrongOnesNameTheKey) {
  const std::vector<BadConfig> cases{
      {{{"model_type", "lama"}}, {"'lama'", "llama"}},
      {{{"model_type", nullptr}}, {"no 'model_type'"}},
      {{{"hidden_act", "gelu"}}, {"'hidden_act'", "'gelu'", "silu"}},
      {{{"hidden_size", nullptr}}, {"no 'hidden_size'"}},
      {{{"hidden_size", 8.5}}, {"'hidden_size'", "8.5", "an integer"}},
      {{{"hidden_size", 0}}, {"'hidden_size'", "an integer from 1 to 4194304"}},
      {{{"hidden_size", 9}}, {"'hidden_size'", "multiple of num_attention_heads"}},
      {{{"num_key_value_heads", 3}}, {"'num_key_value_heads'", "a divisor"}},
      {{{"head_dim", 3}}, {"'head_dim'", "an even number"}},
      {{{"tie_word_embeddings", 1}}, {"'tie_word_embeddings'", "true or false"}},
      {{{"rope_scaling", {{"rope_type", "yarn"}, {"factor", 2}}}}, {"'rope_scaling'", "'yarn'", "default, linear, dynamic or llama3"}},
      {{{"rope_scaling", {{"type", "linear"}}}}, {"no 'factor'", "'rope_scaling'"}},
      {{{"rope_scaling", {{"rope_type", "llama3"}, {"factor", 8}}}}, {"no 'low_freq_factor'"}},
      {{{"rope_parameters", {{"rope_type", "longrope"}, {"factor", 2}}}}, {"'rope_parameters'", "'longrope'"}},
      {{{"rope_scaling", "linear"}}, {"'rope_scaling'", "an object"}},
      {{{"num_attention_heads", 4000}}, {"'hidden_size'", "multiple of num_attention_heads"}},
      {{{"rope_scaling", {{"type", "llama3"}, {"factor", 8}, {"low_freq_factor", 4}, {"high_freq_factor", 4}, {"original_max_position_embeddings", 64}}}},
       {"'high_freq_factor'", "above low_freq_factor"}},
  };
  for (const auto& bad : cases) {
    const auto message = message_of<ConfigError>([&] { make_model_from(small_config(bad.changes).dump()); });
    for (const auto& word : bad.words) EXPECT_THAT(message, HasSubstr(word)) << bad.changes;
  }
}

// Every number that a family's words reach, and those that only its config.json has.
TEST(ConfigNumbers, OutOfRangeIsRefusedInEveryFamily) {
  const std::map<std::string, std::vector<nlohmann::json>> others{
      {"mistral", {{{"sliding_window", "BAD"}}}},
      {"qwen2", {{{"use_sliding_window", true}, {"max_window_layers", "BAD"}}, {{"use_sliding_window", true}, {"sliding_window", "BAD"}}}},
      {"internlm", {{{"rotary", {{"base", "BAD"}}}}, {{"rotary", {{"type", "dynamic"}, {"scaling_factor", "BAD"}}}}}},
      {"chatglm", {{{"bos_token_id", "BAD"}}, {{"gmask_token_id", "BAD"}}, {{"mask_token_id", "BAD"}}, {{"deepnorm_alpha", "BAD"}}}},
      {"chatglm2", {{{"rope_ratio", "BAD"}}}},
      {"llama",
       {{{"rope_scaling", {{"type", "linear"}, {"factor", "BAD"}}}},
        {{"rope_parameters", {{"rope_theta", "BAD"}, {"rope_type", "default"}}}},
        {{"rope_scaling", {{"type", "llama3"}, {"factor", 8}, {"low_freq_factor", "BAD"}, {"high_freq_factor", 4}, {"original_max_position_embeddings", 64}}}},
        {{"rope_scaling", {{"type", "llama3"}, {"factor", 8}, {"low_freq_factor", 1}, {"high_freq_factor", "BAD"}, {"original_max_position_embeddings", 64}}}},
        {{"rope_scaling", {{"type", "llama3"}, {"factor", 8}, {"low_freq_factor", 1}, {"high_freq_factor", 4}, {"original_max_position_embeddings", "BAD"}}}}}}};
  int numbers = 0;
  for (const auto& name : families().names()) {
    ModelOptions options{.family = name, .config = shape_of_family(name, {.hidden_size = 32, .intermediate_size = 48, .num_hidden_layers = 1, .num_attention_heads = 4,
                                                                      .num_key_value_heads = 2})};
    const auto good = hub_config(options, 50);
    make_model(good);
    auto patches = others.contains(name) ? others.at(name) : std::vector<nlohmann::json>();
    const std::set<std::string> no_numbers{"tie_word_embeddings", "attention_bias", "mlp_bias", "rope_scaling"};
    for (const auto& [word, key] : families().at(name).words)
      if (!no_numbers.contains(word)) patches.push_back({{key, "BAD"}});
    for (const auto& patch : patches) {
      const auto text = patch.dump();
      const auto before = text.substr(0, text.find("\":\"BAD\""));
      const auto key = before.substr(before.rfind('"') + 1);
      for (const std::string bad : {"-1", "1e+300", "9223372036854775808", "\"8\"", "[]"}) {
        auto config = good;
        config.update(nlohmann::json::parse(std::string(text).replace(text.find("\"BAD\""), 5, bad)));
        const auto message = message_of<ConfigError>([&] { make_model(config); });
        EXPECT_THAT(message, AllOf(HasSubstr("'" + key + "'"), HasSubstr(": " + bad + ";"), HasSubstr("expected a"))) << name << " " << config;
        ++numbers;
      }
    }
  }
  EXPECT_GT(numbers, 5 * 100);
}

TEST(ConfigNumbers, WhatIsNoNumberToJsonIsToldByItsKey) {
  for (const std::string bad : {"NaN", "Infinity", "-Infinity", "1e999", "0x10"}) {
    const auto text = R"({"model_type": "llama", "hidden_size": 8, "rms_norm_eps": )" + bad + "}";
    EXPECT_THAT(message_of<IoError>([&] { make_model_from(text); }), AllOf(HasSubstr("config.json: after 'rms_norm_eps'"), HasSubstr("no JSON"))) << bad;
  }
}

}  // namespace
}  // namespace herd::test
