#include "infer/evaluate/continuation.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/template/jinja/text.h"
#include "data/template/render.h"
#include "data/tokenizer/utf8.h"
#include "runtime/base/error.h"

namespace herd {

double Continuation::log_likelihood(const std::vector<LogProbs>& scores) const {
  double sum = 0;
  for (auto i = from; i < ids.size(); ++i) sum += scores[i - 1].chosen.log_prob;
  return sum;
}

TokenId text_start(const Tokenizer& tokenizer) {
  if (tokenizer.bos) return *tokenizer.bos;
  if (tokenizer.eos) return *tokenizer.eos;
  throw DataError({.who = "tokenizer", .found = "neither a beginning nor an end of sequence", .expected = "a token that a text can stand behind", .remedy = "name bos_token or eos_token in tokenizer_config.json"});
}

Continuation text_continuation(const Tokenizer& tokenizer, std::string_view context, std::string_view continuation) {
  const auto whole = std::string(context) + std::string(continuation);
  Continuation out;
  if (context.empty()) {
    out.ids = tokenizer.encode(whole, false);
    const auto start = text_start(tokenizer);
    if (out.ids.empty() || out.ids.front() != start) out.ids.insert(out.ids.begin(), start);
  } else {
    out.ids = tokenizer.encode(whole, true);
    out.from = tokenizer.encode(jinja::rstrip(context), true).size();
    if (out.from == 0) {  // all white space, and no special token in front
      out.ids.insert(out.ids.begin(), text_start(tokenizer));
      out.from = 1;
    }
  }
  if (out.ids.size() <= out.from)
    throw DataError({.who = fmt::format("'{}'", continuation), .found = "no token of its own behind its context", .expected = "one or more", .remedy = "another delimiter between the two"});
  return out;
}

Continuation answer_continuation(const PieceEncoder& encoder, const Template& t, const Record& record) {
  auto encoded = encoder(render(t, record), t.special);
  const auto answer = std::ranges::find_if(encoded.spans.rbegin(), encoded.spans.rend(), &TokenSpan::written);
  if (answer == encoded.spans.rend() || answer->begin == 0) throw DataError({.who = "template '" + t.name + "'", .found = "an answer with nothing before it", .expected = "a question", .remedy = ""});
  encoded.ids.resize(answer->end);
  return {.ids = std::move(encoded.ids), .from = answer->begin};
}

std::vector<Continuation> text_windows(const Tokenizer& tokenizer, std::string_view text, std::int64_t context, std::int64_t stride) {
  if (stride < 1 || stride > context)
    throw ConfigError({.who = "--stride", .found = std::to_string(stride), .expected = fmt::format("from 1 to {}, the tokens of a window", context), .remedy = ""});
  auto ids = tokenizer.encode(text, false);
  ids.insert(ids.begin(), text_start(tokenizer));
  std::vector<Continuation> windows;
  const auto size = std::ssize(ids);
  for (std::int64_t from = 1, end = 0; from < size; from = end) {
    end = std::min(size, windows.empty() ? context + 1 : from + stride);
    const auto begin = std::max<std::int64_t>(0, end - 1 - context);
    windows.push_back({.ids = {ids.begin() + begin, ids.begin() + end}, .from = static_cast<std::size_t>(from - begin)});
  }
  return windows;
}

std::int64_t word_count(std::string_view text) {
  std::int64_t runs = 0;
  bool in_space = false;
  for (std::size_t at = 0; at < text.size();) {
    const bool space = jinja::is_space(next_code_point(text, at));
    runs += space && !in_space;
    in_space = space;
  }
  return runs + 1;
}

}  // namespace herd
