#include "data/tokenizer/pre_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/tokenizer/normalizer.h"
#include "data/tokenizer/regex.h"
#include "data/tokenizer/utf8.h"
#include "runtime/base/registry.h"

namespace herd {
namespace {

struct Part {
  std::size_t start, stop;
  bool match;
};

// The whole text as alternating matches and what lies between them.
std::vector<Part> parts_of(const std::vector<std::pair<std::size_t, std::size_t>>& matches, std::size_t size, bool invert) {
  std::vector<Part> parts;
  parts.reserve(matches.size() + 1);
  std::size_t done = 0;
  for (const auto& [start, stop] : matches) {
    if (done != start) parts.push_back({done, start, invert});
    parts.push_back({start, stop, !invert});
    done = stop;
  }
  if (done != size) parts.push_back({done, size, invert});
  return parts;
}

using Behavior = std::vector<Part> (*)(std::vector<Part>);

std::vector<Part> isolated(std::vector<Part> parts) { return parts; }

std::vector<Part> removed(std::vector<Part> parts) {
  std::erase_if(parts, [](const Part& part) { return part.match; });
  return parts;
}

std::vector<Part> contiguous(std::vector<Part> parts) {
  std::vector<Part> out;
  bool previous = false;
  for (const auto& part : parts) {
    if (part.match == previous && !out.empty())
      out.back().stop = part.stop;
    else
      out.push_back(part);
    previous = part.match;
  }
  return out;
}

std::vector<Part> merged_with_previous(std::vector<Part> parts) {
  std::vector<Part> out;
  bool previous = false;
  for (const auto& part : parts) {
    if (part.match && !previous && !out.empty())
      out.back().stop = part.stop;
    else
      out.push_back(part);
    previous = part.match;
  }
  return out;
}

std::vector<Part> merged_with_next(std::vector<Part> parts) {
  std::vector<Part> out;
  bool previous = false;
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    if (part->match && !previous && !out.empty())
      out.back().start = part->start;
    else
      out.push_back(*part);
    previous = part->match;
  }
  std::reverse(out.begin(), out.end());
  return out;
}

const Table<Behavior>& behaviors() {
  static const Table<Behavior> table{"behavior",
                                     {{"Isolated", isolated},
                                      {"Removed", removed},
                                      {"Contiguous", contiguous},
                                      {"MergedWithPrevious", merged_with_previous},
                                      {"MergedWithNext", merged_with_next}}};
  return table;
}

void split_words(std::vector<Word>& words, const Finder& find, Behavior behavior, bool invert) {
  std::vector<Word> out;
  for (const auto& word : words)
    for (const auto& part : behavior(parts_of(find(word.text), word.text.size(), invert)))
      if (part.start != part.stop)
        out.push_back({word.text.substr(part.start, part.stop - part.start), word.first && part.start == 0});
  words = std::move(out);
}

PreTokenizer make_split(const JsonNode& node, std::optional<bool>) {
  const auto behavior = node.at("behavior");
  const auto* entry = behaviors().find(behavior.text());
  if (!entry) behavior.complain("'" + behavior.text() + "'", "one of " + join(behaviors().names()));
  return [find = make_finder(node.at("pattern")), entry, invert = node.boolean_or("invert", false)](std::vector<Word>& words) {
    split_words(words, find, *entry, invert);
  };
}

PreTokenizer make_byte_level(const JsonNode& node, std::optional<bool> add_prefix_space) {
  const bool prefix = add_prefix_space.value_or(node.boolean_or("add_prefix_space", true));
  std::optional<Regex> regex;
  if (node.boolean_or("use_regex", true)) regex.emplace(kGpt2Pattern, node.place());
  return [prefix, regex](std::vector<Word>& words) {
    if (prefix)
      for (auto& word : words)
        if (!word.text.starts_with(' ')) word.text.insert(0, 1, ' ');
    if (regex) split_words(words, [&](std::string_view text) { return regex->find_all(text); }, isolated, false);
    const auto& characters = byte_characters();
    for (auto& word : words) {
      std::string mapped;
      mapped.reserve(word.text.size() * 2);
      for (const char byte : word.text) mapped += characters[static_cast<unsigned char>(byte)];
      word.text = std::move(mapped);
    }
  };
}

PreTokenizer make_metaspace(const JsonNode& node, std::optional<bool>) {
  const auto replacement = node.text_or("replacement", "\xE2\x96\x81");
  auto scheme = node.text_or("prepend_scheme", "always");
  if (!node.has("prepend_scheme") && !node.boolean_or("add_prefix_space", true)) scheme = "never";
  if (scheme != "always" && scheme != "first" && scheme != "never")
    node.at("prepend_scheme").complain("'" + scheme + "'", "always, first or never");
  const auto find_replacement = [replacement](std::string_view text) {
    std::vector<std::pair<std::size_t, std::size_t>> found;
    for (std::size_t at = 0; (at = text.find(replacement, at)) != std::string_view::npos; at += replacement.size())
      found.emplace_back(at, at + replacement.size());
    return found;
  };
  return [=, split = node.boolean_or("split", true)](std::vector<Word>& words) {
    for (auto& word : words) {
      word.text = replace_all(word.text, " ", replacement);
      const bool wanted = scheme == "always" || (scheme == "first" && word.first);
      if (wanted && !word.text.starts_with(replacement)) word.text.insert(0, replacement);
    }
    if (split) split_words(words, find_replacement, merged_with_next, false);
  };
}

PreTokenizer make_digits(const JsonNode& node, std::optional<bool>) {
  const Behavior behavior = node.boolean_or("individual_digits", false) ? isolated : contiguous;
  return [behavior, regex = Regex(R"([\p{Nd}\p{Nl}\p{No}])", node.place())](std::vector<Word>& words) {
    split_words(words, [&](std::string_view text) { return regex.find_all(text); }, behavior, false);
  };
}

PreTokenizer make_sequence(const JsonNode& node, std::optional<bool>) {
  std::vector<PreTokenizer> parts;
  for (const auto& part : node.at("pretokenizers").items()) parts.push_back(make_pre_tokenizer(part));
  return [parts](std::vector<Word>& words) {
    for (const auto& part : parts) part(words);
  };
}

using Maker = PreTokenizer (*)(const JsonNode&, std::optional<bool>);

const Table<Maker>& pre_tokenizers() {
  static const Table<Maker> table{"pre_tokenizer",
                                  {{"Split", make_split},
                                   {"ByteLevel", make_byte_level},
                                   {"Metaspace", make_metaspace},
                                   {"Digits", make_digits},
                                   {"Sequence", make_sequence}}};
  return table;
}

}  // namespace

PreTokenizer make_pre_tokenizer(const JsonNode& node, std::optional<bool> add_prefix_space) {
  if (node.value().is_null()) return [](std::vector<Word>&) {};
  if (!node.has("add_prefix_space")) add_prefix_space.reset();
  return entry_of(node, pre_tokenizers())(node, add_prefix_space);
}

namespace {

bool only_maps_bytes(const JsonNode& node, std::optional<bool> add_prefix_space) {
  return node.text_or("type", "") == "ByteLevel" && !add_prefix_space.value_or(node.boolean_or("add_prefix_space", true));
}

// The pattern of a Split that parts a text into its matches and what lies between them.
std::string plain_split(const JsonNode& node) {
  const bool plain = node.text_or("type", "") == "Split" && node.text_or("behavior", "") == "Isolated" && !node.boolean_or("invert", false);
  return plain && node.has("pattern") ? node.at("pattern").text_or("Regex", "") : "";
}

}  // namespace

WordScanner byte_word_scanner(const JsonNode& node, std::optional<bool> add_prefix_space) {
  if (node.value().is_null()) return nullptr;
  if (!node.has("add_prefix_space")) add_prefix_space.reset();
  if (only_maps_bytes(node, add_prefix_space)) return node.boolean_or("use_regex", true) ? word_scanner(kGpt2Pattern) : nullptr;
  if (node.text_or("type", "") != "Sequence") return nullptr;
  const auto parts = node.at("pretokenizers").items();
  if (parts.size() != 2 || !only_maps_bytes(parts[1], {}) || parts[1].boolean_or("use_regex", true)) return nullptr;
  return word_scanner(plain_split(parts[0]));
}

const std::array<std::string, 256>& byte_characters() {
  static const auto table = [] {
    std::array<std::string, 256> characters;
    char32_t spare = 256;
    for (char32_t byte = 0; byte < 256; ++byte) {
      const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
      append_code_point(characters[byte], printable ? byte : spare++);
    }
    return characters;
  }();
  return table;
}

}  // namespace herd
