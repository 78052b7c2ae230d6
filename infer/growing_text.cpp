#include "infer/growing_text.h"

#include <algorithm>

namespace herd {
namespace {

template <class T>
std::vector<T> joined(std::vector<T> some, const std::vector<T>& more) {
  some.insert(some.end(), more.begin(), more.end());
  return some;
}

bool contains(const std::vector<TokenId>& ids, TokenId id) { return std::find(ids.begin(), ids.end(), id) != ids.end(); }

// A template's end may be the model's own: a beam search and its sampler count them.
std::vector<TokenId> without_twins(std::vector<TokenId> ids) {
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

}  // namespace

GrowingText::GrowingText(Request request, const Tokenizer& tokenizer, const std::vector<TokenId>& eos, const ModelFacts& facts)
    : request_(std::move(request)), tokenizer_(tokenizer), vocab_size_(facts.vocab_size), max_positions_(facts.max_positions), ends_(without_twins(joined(eos, request_.prompt.ends))),
      processors_(request_.options.sampling, ends_, facts.vocab_size), sampler_(request_.options.sampling, searches() ? ends_.size() + 1 : 1), stream_(new_stream()),
      search_(request_.options.beam, std::min(request_.options.max_new_tokens, facts.max_positions - prompt_length()), ends_.size()) {}

TextStream GrowingText::new_stream() const {
  return TextStream(tokenizer_, request_.prompt.ids, joined(request_.options.stop, request_.prompt.stop), request_.prompt.output);
}

bool GrowingText::pick(std::span<float> logits) {
  const auto& options = request_.options;
  const auto own = options.log_probs ? std::vector<float>(logits.begin(), logits.end()) : std::vector<float>();
  processors_.apply(logits, request_.prompt.ids, generation_.ids);
  const auto id = sampler_.pick(logits, *request_.prompt.number, static_cast<std::uint64_t>(length()));
  if (contains(ends_, id)) {
    generation_.finish = FinishReason::kEos;
    return false;
  }
  generation_.ids.push_back(id);
  if (options.log_probs) generation_.log_probs.push_back(log_probs(own, id, static_cast<std::size_t>(*options.log_probs)));
  const auto piece = stream_.push(id);
  if (!piece.empty() && request_.on_text) request_.on_text(piece, generation_);
  if (stream_.stopped()) generation_.finish = FinishReason::kStop;
  else if (std::ssize(generation_.ids) == options.max_new_tokens) generation_.finish = FinishReason::kLength;
  else if (length() == max_positions_) generation_.finish = FinishReason::kContext;
  else return true;
  return false;
}

std::vector<std::size_t> GrowingText::pick_beams(std::span<float> logits) {
  std::vector<BeamSearch::Candidate> candidates;
  for (std::size_t beam = 0; beam < search_.growing().size(); ++beam) {
    const auto scores = logits.subspan(beam * static_cast<std::size_t>(vocab_size_), static_cast<std::size_t>(vocab_size_));
    log_softmax(scores);
    processors_.apply(scores, request_.prompt.ids, answer(beam));
    search_.offer(beam, scores, sampler_, request_.options.sampling, *request_.prompt.number, candidates);
  }
  return search_.advance(std::move(candidates), [&](const std::vector<TokenId>& answer) { return ends(answer); });
}

bool GrowingText::ends(const std::vector<TokenId>& answer) const {
  if (contains(ends_, answer.back())) return true;
  if (request_.options.stop.empty() && request_.prompt.stop.empty()) return false;
  auto stream = stream_;  // as the prompt left it: nothing is pushed to a search's own
  for (const auto id : answer) stream.push(id);
  return stream.stopped();
}

std::string GrowingText::finish() {
  if (searches()) {
    const auto found = search_.best();
    generation_ = generation_of(found.front());
    for (std::size_t i = 1; i < found.size(); ++i) generation_.others.push_back(generation_of(found[i]));
    return generation_.text;
  }
  auto piece = stream_.finish();
  if (stream_.stopped()) generation_.finish = FinishReason::kStop;
  generation_.text = stream_.text();
  return piece;
}

Generation GrowingText::generation_of(const BeamSearch::Beam& beam) const {
  Generation generation{.ids = beam.ids, .text = {}, .score = beam.score};
  const bool eos = contains(ends_, beam.ids.back());
  if (eos) generation.ids.pop_back();
  auto stream = stream_;
  for (const auto id : generation.ids) stream.push(id);
  stream.finish();
  generation.text = stream.text();
  if (stream.stopped()) generation.finish = FinishReason::kStop;
  else if (eos) generation.finish = FinishReason::kEos;
  else if (std::ssize(generation.ids) < request_.options.max_new_tokens) generation.finish = FinishReason::kContext;
  return generation;
}

}  // namespace herd
