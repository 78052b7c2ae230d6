#include "data/tokenizer/decoder.h"

#include <charconv>
#include <unordered_map>

#include "data/tokenizer/normalizer.h"
#include "data/tokenizer/pre_tokenizer.h"
#include "data/tokenizer/utf8.h"
#include "runtime/base/registry.h"

namespace herd {
namespace {

constexpr const char* kReplacementCharacter = "\xEF\xBF\xBD";

const std::unordered_map<char32_t, char>& character_bytes() {
  static const auto table = [] {
    std::unordered_map<char32_t, char> bytes;
    for (int byte = 0; byte < 256; ++byte) {
      std::size_t at = 0;
      bytes[next_code_point(byte_characters()[static_cast<std::size_t>(byte)], at)] = static_cast<char>(byte);
    }
    return bytes;
  }();
  return table;
}

// A token with a character outside the byte alphabet (an added token) stands for itself.
void append_bytes(const std::string& token, std::string& bytes) {
  const auto& table = character_bytes();
  const auto start = bytes.size();
  for (std::size_t at = 0; at < token.size();) {
    const auto found = table.find(next_code_point(token, at));
    if (found == table.end()) {
      bytes.resize(start);
      bytes += token;
      return;
    }
    bytes += found->second;
  }
}

Decoder make_byte_level(const JsonNode&) {
  return [](std::vector<std::string>& tokens) {
    std::string bytes;
    for (const auto& token : tokens) append_bytes(token, bytes);
    tokens.assign(1, replace_invalid_utf8(bytes));
  };
}

Decoder make_byte_fallback(const JsonNode&) {
  return [](std::vector<std::string>& tokens) {
    std::vector<std::string> out;
    std::string bytes;
    const auto flush = [&] {
      if (invalid_utf8(bytes))
        out.insert(out.end(), bytes.size(), kReplacementCharacter);  // one for each byte of a run that is broken anywhere
      else if (!bytes.empty())
        out.push_back(bytes);
      bytes.clear();
    };
    for (auto& token : tokens) {
      const int byte = byte_of_token(token);
      if (byte >= 0) {
        bytes += static_cast<char>(byte);
        continue;
      }
      flush();
      out.push_back(std::move(token));
    }
    flush();
    tokens = std::move(out);
  };
}

Decoder make_replace(const JsonNode& node) {
  return [replace = make_normalizer(node)](std::vector<std::string>& tokens) {  // the normalizer of the same name does the same
    for (auto& token : tokens) token = replace(std::move(token));
  };
}

Decoder make_fuse(const JsonNode&) {
  return [](std::vector<std::string>& tokens) {
    std::string joined;
    for (const auto& token : tokens) joined += token;
    tokens.assign(1, joined);
  };
}

Decoder make_strip(const JsonNode& node) {
  const auto content = node.at("content").text();
  return [content, start = node.integer_or("start", 0), stop = node.integer_or("stop", 0)](std::vector<std::string>& tokens) {
    for (auto& token : tokens) {
      for (auto left = start; left > 0 && token.starts_with(content); --left) token.erase(0, content.size());
      for (auto left = stop; left > 0 && token.ends_with(content); --left) token.erase(token.size() - content.size());
    }
  };
}

Decoder make_metaspace(const JsonNode& node) {
  const auto replacement = node.text_or("replacement", "\xE2\x96\x81");
  const auto scheme = node.text_or("prepend_scheme", node.boolean_or("add_prefix_space", true) ? "always" : "never");
  const bool prepended = scheme != "never";
  return [replacement, prepended](std::vector<std::string>& tokens) {
    for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = replace_all(tokens[i], replacement, i == 0 && prepended ? "" : " ");
  };
}

Decoder make_sequence(const JsonNode& node) {
  std::vector<Decoder> parts;
  for (const auto& part : node.at("decoders").items()) parts.push_back(make_decoder(part));
  return [parts](std::vector<std::string>& tokens) {
    for (const auto& part : parts) part(tokens);
  };
}

const Table<Decoder (*)(const JsonNode&)>& decoders() {
  static const Table<Decoder (*)(const JsonNode&)> table{"decoder",
                                                         {{"ByteLevel", make_byte_level},
                                                          {"ByteFallback", make_byte_fallback},
                                                          {"Metaspace", make_metaspace},
                                                          {"Replace", make_replace},
                                                          {"Fuse", make_fuse},
                                                          {"Strip", make_strip},
                                                          {"Sequence", make_sequence}}};
  return table;
}

}  // namespace

Decoder make_decoder(const JsonNode& node) {
  if (!node.value().is_null()) return entry_of(node, decoders())(node);
  return [](std::vector<std::string>& tokens) {
    for (std::size_t i = 1; i < tokens.size(); ++i) tokens[i].insert(0, 1, ' ');
  };
}

bool has_byte_fallback(const JsonNode& node) {
  if (node.value().is_null()) return false;
  const auto type = node.at("type").text();
  if (type != "Sequence") return type == "ByteFallback";
  for (const auto& part : node.at("decoders").items())
    if (has_byte_fallback(part)) return true;
  return false;
}

int byte_of_token(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return -1;
  int byte = -1;
  const auto* end = token.data() + 5;
  const auto [stop, error] = std::from_chars(token.data() + 3, end, byte, 16);
  return error == std::errc{} && stop == end && byte >= 0 ? byte : -1;
}

}  // namespace herd
