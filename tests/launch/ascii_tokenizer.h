#pragma once
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace herd::test {

/// A tokenizer in `folder` in which every printable ASCII character, blank and line end is one token; </s> is 0. There are 97.
inline void write_ascii_tokenizer(const std::filesystem::path& folder) {
  using nlohmann::json;
  json vocab{{"</s>", 0}, {"Ġ", 1}, {"Ċ", 2}};
  for (char c = '!'; c <= '~'; ++c) vocab[std::string(1, c)] = vocab.size();
  const json level{{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  const json end{{"id", 0},         {"content", "</s>"},   {"single_word", false}, {"lstrip", false},
                 {"rstrip", false}, {"normalized", false}, {"special", true}};
  const json model{{"type", "BPE"}, {"vocab", vocab}, {"merges", json::array()}};
  std::ofstream(folder / "tokenizer.json") << json{{"version", "1.0"},       {"added_tokens", {end}},     {"normalizer", nullptr},
                                                   {"pre_tokenizer", level}, {"post_processor", nullptr}, {"decoder", level},
                                                   {"model", model}};
  std::ofstream(folder / "tokenizer_config.json") << json{{"eos_token", "</s>"}};
}

}  // namespace herd::test
