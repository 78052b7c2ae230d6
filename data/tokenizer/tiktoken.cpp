#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>

#include "data/tokenizer/bpe_tokenizer.h"
#include "data/tokenizer/family_parts.h"
#include "data/tokenizer/pre_tokenizer.h"
#include "data/tokenizer/slow_forms.h"
#include "runtime/base/error.h"

namespace herd {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// RFC 4648, section 4, with its padding; nothing where it is not base64.
std::optional<std::string> from_base64(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0) return std::nullopt;
  const auto padding = text.ends_with("==") ? 2U : text.ends_with('=') ? 1U : 0U;
  std::string bytes;
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto digit = i < text.size() - padding ? kAlphabet.find(text[i]) : 0;
    if (digit == std::string_view::npos) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    if (i % 4 != 3) continue;
    for (const int shift : {16, 8, 0}) bytes += static_cast<char>(bits >> shift);
    bits = 0;
  }
  bytes.resize(bytes.size() - padding);
  return bytes;
}

class Reader {
 public:
  Reader(const std::filesystem::path& file, std::string_view text) : file_(file) {
    int number = 0;
    for (std::size_t at = 0; at < text.size();) {
      const auto end = std::min(text.find('\n', at), text.size());
      auto line = text.substr(at, end - at);
      at = end + 1;
      ++number;
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (!line.empty()) read_line(line, number);
    }
    require_bytes();
    add_merges();
  }
  BpeModel take() && { return std::move(model_); }

 private:
  [[noreturn]] void complain(int line, std::string found, std::string expected) const {
    throw DataError({.who = line == 0 ? file_.string() : fmt::format("{}:{}", file_.string(), line),
                     .found = std::move(found),
                     .expected = std::move(expected),
                     .remedy = "copy or download the file again; a SentencePiece model of this name does not begin with text"});
  }

  void read_line(std::string_view line, int number) {
    const auto space = line.find(' ');
    if (space == std::string_view::npos)
      complain(number, fmt::format("'{}', without a blank", line.substr(0, 60)), "a token in base64, a blank and its rank");
    const auto token = from_base64(line.substr(0, space));
    if (!token || token->empty())
      complain(number, fmt::format("the token '{}'", line.substr(0, std::min<std::size_t>(space, 60))), "a token in base64");
    const auto digits = line.substr(space + 1);
    std::int64_t rank = -1;
    const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), rank);
    if (error != std::errc{} || stop != digits.data() + digits.size() || rank < 0 || rank >= kGreatestTokenId)
      complain(number, fmt::format("the rank '{}'", digits.substr(0, 60)), fmt::format("a rank from 0 to {}", kGreatestTokenId - 1));
    std::string mapped;
    for (const char byte : *token) mapped += byte_characters()[static_cast<unsigned char>(byte)];
    if (!ranks_.emplace(*token, static_cast<TokenId>(rank)).second) complain(number, "a token that was there before", "each token once");
    model_.vocabulary.emplace(std::move(mapped), static_cast<TokenId>(rank));
  }

  void require_bytes() const {
    for (int byte = 0; byte < 256; ++byte)
      if (!ranks_.contains(std::string(1, static_cast<char>(byte))))
        complain(0, fmt::format("no token for the byte 0x{:02X}", byte), "every byte among the tokens, or some text would have no ids");
  }

  // Every way to put a token together from two others.
  void add_merges() {
    for (const auto& [token, rank] : ranks_)
      for (std::size_t cut = 1; cut < token.size(); ++cut) {
        const auto left = ranks_.find(std::string_view(token).substr(0, cut));
        if (left == ranks_.end()) continue;
        const auto right = ranks_.find(std::string_view(token).substr(cut));
        if (right != ranks_.end()) model_.merges.push_back({left->second, right->second, rank, static_cast<std::uint32_t>(rank)});
      }
    model_.ignore_merges = true;
  }

  std::filesystem::path file_;
  StringMap<TokenId> ranks_;  // by their bytes
  BpeModel model_;
};

}  // namespace

bool is_tiktoken_file(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  const int first = in.get();
  return first != std::char_traits<char>::eof() && kAlphabet.find(static_cast<char>(first)) != std::string_view::npos;
}

std::unique_ptr<Tokenizer> make_tiktoken_tokenizer(const std::filesystem::path& file) {
  const auto bytes = read_text_file(file);
  auto model = Reader(file, bytes).take();
  const auto tokens = model.vocabulary.size();
  const auto settings = read_tokenizer_settings(file.parent_path(), TokenizerForm::kTiktoken, tokens);
  const auto parts = family_parts(settings, tokens);
  return make_bpe_tokenizer(std::move(model), JsonNode(parts, file.string()), settings, bytes);
}

}  // namespace herd
