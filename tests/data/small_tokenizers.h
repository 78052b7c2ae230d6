#pragma once
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/support/scratch.h"

namespace herd::test {

using Json = nlohmann::json;

inline void write_file(const std::filesystem::path& file, const std::string& bytes) { std::ofstream(file, std::ios::binary) << bytes; }

/// The SentencePiece form, as LLaMA's tokenizer.json. Ids: <unk> 0, <s> 1, </s> 2, <0xNN> 3 + NN, then ▁ 259, a 260, b 261, ab 262, ▁a 263, ▁ab 264.
inline Json llama_form() {
  Json vocabulary = {{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}, {"▁", 259}, {"a", 260}, {"b", 261}, {"ab", 262}, {"▁a", 263}, {"▁ab", 264}};
  for (int byte = 0; byte < 256; ++byte) vocabulary[fmt::format("<0x{:02X}>", byte)] = 3 + byte;
  const auto added = [](int id, const char* content) { return Json{{"id", id}, {"content", content}, {"special", true}, {"normalized", false}}; };
  return {{"added_tokens", {added(0, "<unk>"), added(1, "<s>"), added(2, "</s>")}},
          {"normalizer",
           {{"type", "Sequence"},
            {"normalizers",
             {{{"type", "Prepend"}, {"prepend", "▁"}}, {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "▁"}}}}}},
          {"pre_tokenizer", nullptr},
          {"post_processor",
           {{"type", "TemplateProcessing"},
            {"single", {{{"SpecialToken", {{"id", "<s>"}}}}, {{"Sequence", {{"id", "A"}}}}}},
            {"special_tokens", {{"<s>", {{"id", "<s>"}, {"ids", {1}}}}}}}},
          {"decoder",
           {{"type", "Sequence"},
            {"decoders",
             {{{"type", "Replace"}, {"pattern", {{"String", "▁"}}}, {"content", " "}},
              {{"type", "ByteFallback"}},
              {{"type", "Fuse"}},
              {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}}}}},
          {"model",
           {{"type", "BPE"},
            {"unk_token", "<unk>"},
            {"fuse_unk", true},
            {"byte_fallback", true},
            {"vocab", vocabulary},
            {"merges", {"a b", "▁ a", "▁ ab"}}}}};
}

/// The ByteLevel form, as GPT-2's. Ids: h 0, i 1, Ġ 2, hi 3, Ġhi 4, Ċ 5, ihi 6, the three bytes of 你 (ä ½ ł) 7 8 9; <end> 10 is special.
inline Json gpt2_form() {
  return {{"added_tokens", {{{"id", 10}, {"content", "<end>"}, {"special", true}}}},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
          {"post_processor", nullptr},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model",
           {{"type", "BPE"},
            {"ignore_merges", false},
            {"vocab", {{"h", 0}, {"i", 1}, {"Ġ", 2}, {"hi", 3}, {"Ġhi", 4}, {"Ċ", 5}, {"ihi", 6}, {"ä", 7}, {"½", 8}, {"ł", 9}}},
            {"merges", Json::array({Json::array({"h", "i"}), Json::array({"Ġ", "hi"})})}}}};
}

/// A field of a protocol buffer that holds bytes, a number, or a 32-bit float.
inline std::string field(int number, const std::string& bytes) {
  std::string size;  // base-128, low part first
  auto rest = bytes.size();
  for (; rest >= 128; rest >>= 7) size += static_cast<char>(rest | 0x80);
  return static_cast<char>(number << 3 | 2) + (size + static_cast<char>(rest)) + bytes;
}
inline std::string field(int number, int value) {  // value < 128, number < 16
  return {static_cast<char>(number << 3), static_cast<char>(value)};
}
inline std::string field(int number, float value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return static_cast<char>(number << 3 | 5) + bytes;
}

/// A SentencePiece BPE model with the pieces and ids of llama_form(): ModelProto { pieces, trainer_spec, normalizer_spec }.
inline std::string sentencepiece_form() {
  constexpr int kUnknown = 2, kControl = 3, kByte = 6, kNormal = 1;
  const auto piece = [](const std::string& text, float score, int type) { return field(1, field(1, text) + field(2, score) + field(3, type)); };
  std::string model = piece("<unk>", 0, kUnknown) + piece("<s>", 0, kControl) + piece("</s>", 0, kControl);
  for (int byte = 0; byte < 256; ++byte) model += piece(fmt::format("<0x{:02X}>", byte), 0, kByte);
  for (const auto* letter : {"▁", "a", "b"}) model += piece(letter, -100, kNormal);
  model += piece("ab", 0, kNormal) + piece("▁a", -1, kNormal) + piece("▁ab", -2, kNormal);
  const auto byte_fallback = std::string("\x98\x02\x01", 3);  // field 35: true
  return model + field(2, field(3, 2) + byte_fallback) + field(3, field(1, std::string("identity")) + field(3, 1) + field(4, 0));
}

}  // namespace herd::test
