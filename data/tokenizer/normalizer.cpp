#include "data/tokenizer/normalizer.h"

#include <fmt/format.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include "data/tokenizer/regex.h"
#include "data/tokenizer/utf8.h"
#include "runtime/base/error.h"
#include "runtime/base/registry.h"

namespace herd {
namespace {

using Instance = const icu::Normalizer2* (*)(UErrorCode&);

Normalizer unicode_form(const JsonNode& node, Instance instance) {
  UErrorCode status = U_ZERO_ERROR;
  const auto* form = instance(status);
  if (U_FAILURE(status)) node.complain(u_errorName(status), "ICU's normalisation data");
  return [form](std::string text) {
    if (is_ascii(text)) return text;  // has one form
    UErrorCode status = U_ZERO_ERROR;
    const icu::StringPiece piece(text.data(), static_cast<std::int32_t>(text.size()));
    if (form->isNormalizedUTF8(piece, status)) return text;
    std::string out;
    form->normalize(icu::UnicodeString::fromUTF8(piece), status).toUTF8String(out);
    if (U_FAILURE(status)) throw DataError({.who = "Unicode normalisation", .found = u_errorName(status), .expected = {}, .remedy = {}});
    return out;
  };
}

Normalizer make_nfc(const JsonNode& node) { return unicode_form(node, icu::Normalizer2::getNFCInstance); }
Normalizer make_nfd(const JsonNode& node) { return unicode_form(node, icu::Normalizer2::getNFDInstance); }
Normalizer make_nfkc(const JsonNode& node) { return unicode_form(node, icu::Normalizer2::getNFKCInstance); }
Normalizer make_nfkd(const JsonNode& node) { return unicode_form(node, icu::Normalizer2::getNFKDInstance); }

Normalizer make_lowercase(const JsonNode&) {
  return [](std::string text) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
      const auto c = next_code_point(text, at);
      if (c == 0x130)
        out += "i\xCC\x87";  // the one letter whose lower case is two code points
      else
        append_code_point(out, static_cast<char32_t>(u_tolower(static_cast<UChar32>(c))));
    }
    return out;
  };
}

Normalizer make_prepend(const JsonNode& node) {
  return [prefix = node.at("prepend").text()](std::string text) { return text.empty() ? text : prefix + text; };
}

Normalizer make_replace(const JsonNode& node) {
  const auto content = node.at("content").text();
  if (node.at("pattern").has("String"))
    return [from = node.at("pattern").at("String").text(), content](std::string text) { return replace_all(text, from, content); };
  return [find = make_finder(node.at("pattern")), content](std::string text) {
    std::string out;
    std::size_t done = 0;
    for (const auto& [start, stop] : find(text)) {
      out.append(text, done, start - done).append(content);
      done = stop;
    }
    return out.append(text, done);
  };
}

Normalizer make_strip(const JsonNode& node) {
  return [left = node.boolean_or("strip_left", true), right = node.boolean_or("strip_right", true)](std::string text) {
    std::size_t start = 0, stop = 0, at = 0;  // [start, stop): from the first to the last character that is not white space
    bool seen = false;
    while (at < text.size()) {
      const auto here = at;
      if (u_isUWhiteSpace(static_cast<UChar32>(next_code_point(text, at)))) continue;
      if (!seen) start = here;
      seen = true;
      stop = at;
    }
    if (!seen) return left || right ? std::string() : text;
    if (!right) stop = text.size();
    return left ? text.substr(start, stop - start) : text.substr(0, stop);
  };
}

Normalizer make_sequence(const JsonNode& node) {
  std::vector<Normalizer> parts;
  for (const auto& part : node.at("normalizers").items()) parts.push_back(make_normalizer(part));
  return [parts](std::string text) {
    for (const auto& part : parts) text = part(std::move(text));
    return text;
  };
}

const Table<Normalizer (*)(const JsonNode&)>& normalizers() {
  static const Table<Normalizer (*)(const JsonNode&)> table{"normalizer",
                                                            {{"NFC", make_nfc},
                                                             {"NFD", make_nfd},
                                                             {"NFKC", make_nfkc},
                                                             {"NFKD", make_nfkd},
                                                             {"Lowercase", make_lowercase},
                                                             {"Prepend", make_prepend},
                                                             {"Replace", make_replace},
                                                             {"Strip", make_strip},
                                                             {"Sequence", make_sequence}}};
  return table;
}

}  // namespace

Normalizer make_normalizer(const JsonNode& node) {
  if (node.value().is_null()) return [](std::string text) { return text; };
  return entry_of(node, normalizers())(node);
}

Finder make_finder(const JsonNode& pattern) {
  if (pattern.has("Regex")) {
    const auto node = pattern.at("Regex");
    return [regex = Regex(node.text(), node.place())](std::string_view text) { return regex.find_all(text); };
  }
  return [what = pattern.at("String").text()](std::string_view text) {
    std::vector<std::pair<std::size_t, std::size_t>> found;
    for (std::size_t at = 0; !what.empty() && (at = text.find(what, at)) != std::string_view::npos; at += what.size())
      found.emplace_back(at, at + what.size());
    return found;
  };
}

}  // namespace herd
