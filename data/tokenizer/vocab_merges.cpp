#include <fmt/format.h>

#include <algorithm>

#include "data/tokenizer/bpe_tokenizer.h"
#include "data/tokenizer/family_parts.h"
#include "data/tokenizer/slow_forms.h"
#include "runtime/base/error.h"

namespace herd {
namespace {

void read_merges(const std::filesystem::path& file, std::string_view text, BpeModel& model) {
  int number = 0;
  std::uint32_t rank = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find('\n', at), text.size());
    auto line = text.substr(at, end - at);
    at = end + 1;
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || (number == 1 && line.starts_with("#version"))) continue;
    const auto complain = [&](std::string found, std::string expected) {
      throw DataError({.who = fmt::format("{}:{}", file.string(), number), .found = std::move(found), .expected = std::move(expected),
                       .remedy = "take vocab.json and merges.txt from one and the same model"});
    };
    const auto space = line.find(' ');
    if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos)
      complain(fmt::format("the merge '{}'", line.substr(0, 80)), "two tokens with one blank between them");
    const auto left = line.substr(0, space), right = line.substr(space + 1);
    const auto known = [&](std::string_view token) {
      const auto found = model.vocabulary.find(token);
      if (found == model.vocabulary.end())
        complain(fmt::format("'{}' + '{}', but '{}' is not in the vocabulary", left, right, token), "tokens of vocab.json");
      return found->second;
    };
    model.merges.push_back({known(left), known(right), known(std::string(left) + std::string(right)), rank++});
  }
}

}  // namespace

std::unique_ptr<Tokenizer> make_vocab_merges_tokenizer(const std::filesystem::path& vocabulary, const std::filesystem::path& merges) {
  const auto vocabulary_bytes = read_text_file(vocabulary), merges_bytes = read_text_file(merges);
  BpeModel model;
  {
    JsonNode::Json storage;
    model.vocabulary = read_vocabulary(JsonNode::parse(vocabulary, vocabulary_bytes, storage));
  }
  read_merges(merges, merges_bytes, model);
  const auto settings = read_tokenizer_settings(vocabulary.parent_path(), TokenizerForm::kVocabMerges);
  const auto parts = family_parts(settings, model.vocabulary.size());
  return make_bpe_tokenizer(std::move(model), JsonNode(parts, vocabulary.string()), settings, vocabulary_bytes + merges_bytes);
}

}  // namespace herd
