#include "infer/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <numeric>
#include <set>
#include <span>

#include "infer/kv_texts.h"
#include "infer/logits_processors.h"
#include "infer/sampler.h"
#include "infer/text_stream.h"
#include "runtime/base/error.h"

namespace herd {
namespace {

template <class T>
std::vector<T> joined(std::vector<T> some, const std::vector<T>& more) {
  some.insert(some.end(), more.begin(), more.end());
  return some;
}

bool contains(const std::vector<TokenId>& ids, TokenId id) { return std::find(ids.begin(), ids.end(), id) != ids.end(); }

/// Dropout off for as long as it lives: an evaluation may generate in the middle of training.
class AnswerMode {
 public:
  explicit AnswerMode(RandomKeys& keys) : keys_(keys), training_(keys.training) { keys_.training = false; }
  ~AnswerMode() { keys_.training = training_; }
  AnswerMode(const AnswerMode&) = delete;
  AnswerMode& operator=(const AnswerMode&) = delete;

 private:
  at::NoGradGuard no_grad_;
  RandomKeys& keys_;
  bool training_;
};

/// A request under way. It grows as one text, or as the beams of a search.
struct Text {
  Text(Engine::Id its_id, Request its_request, const Tokenizer& tokenizer, const std::vector<TokenId>& eos, const ModelFacts& facts)
      : id(its_id), request(std::move(its_request)), ends(joined(eos, request.prompt.ends)), processors(request.options.sampling, ends, facts.vocab_size),
        sampler(request.options.sampling, searches() ? ends.size() + 1 : 1), stream(new_stream(tokenizer)),
        search(request.options.beam, std::min(request.options.max_new_tokens, facts.max_positions - prompt_length()), ends.size()) {}

  bool searches() const { return request.options.beam.beams > 1; }
  std::int64_t rows() const { return request.options.beam.beams; }
  std::int64_t prompt_length() const { return std::ssize(request.prompt.ids); }
  std::int64_t length() const { return prompt_length() + std::ssize(searches() ? search.growing().front().ids : generation.ids); }
  TextStream new_stream(const Tokenizer& tokenizer) const {
    return TextStream(tokenizer, request.prompt.ids, joined(request.options.stop, request.prompt.stop), request.prompt.output);
  }

  Engine::Id id;
  Request request;
  std::vector<TokenId> ends;
  LogitsProcessors processors;
  TokenSampler sampler;
  TextStream stream;
  BeamSearch search;
  std::vector<KvText> kv = std::vector<KvText>(1);  // one a growing beam
  Generation generation{};
  bool prompt_read = false, ended = false;
};

/// Tokens that stand behind what a text holds.
struct Row {
  KvText* kv;
  std::span<const TokenId> tokens;
  std::int64_t begin;  // the place of the first
};

/// All of one length: [n, t], each at its own positions.
Batch batch_of(const std::vector<Row>& rows) {
  const auto n = std::ssize(rows), t = std::ssize(rows.front().tokens);
  Batch batch;
  batch.tokens_bt = at::empty({n, t}, at::kLong);
  batch.positions_bt = at::empty({n, t}, at::kLong);
  batch.labels_bt = at::full({n, t}, kIgnoreLabel, at::kLong);
  auto *tokens = batch.tokens_bt.data_ptr<std::int64_t>(), *positions = batch.positions_bt.data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < n; ++i, tokens += t, positions += t) {
    const auto& row = rows[static_cast<std::size_t>(i)];
    std::copy(row.tokens.begin(), row.tokens.end(), tokens);
    std::iota(positions, positions + t, row.begin);
    batch.segments.push_back({i, 0, t});
  }
  return batch;
}

std::span<float> row_of(const Tensor& logits_bv, std::int64_t row) {
  return {logits_bv.data_ptr<float>() + row * logits_bv.size(1), static_cast<std::size_t>(logits_bv.size(1))};
}

}  // namespace

class Engine::Texts {
 public:
  Texts(CausalLm& model, const Tokenizer& tokenizer, std::vector<TokenId> eos, EngineOptions options, std::function<void(std::optional<std::size_t>)> use_adapter)
      : model_(model), tokenizer_(tokenizer), eos_(std::move(eos)), options_(options), use_adapter_(std::move(use_adapter)),
        kv_(model, dtype(), at::kCPU, static_cast<std::size_t>(options.kept_texts)) {}

  void check(const Request& request, std::size_t number) const;
  Id add(Request request);
  void cancel(Id id);
  bool step();

  std::deque<std::unique_ptr<Text>> waiting;
  std::vector<std::unique_ptr<Text>> growing;

 private:
  void use(std::optional<std::size_t> adapter) const;
  void read_prompts();
  std::int64_t read_chunk(Text& text);
  void grow();
  void grow(const std::vector<Text*>& texts);
  std::int64_t rows() const;
  void take(Text& text, const Tensor& logits_bv);
  bool pick(Text& text, std::span<float> logits);
  bool search(Text& text, const Tensor& logits_bv);
  void end(Text& text);
  void end_search(Text& text) const;
  Generation generation_of(const Text& text, const BeamSearch::Beam& beam) const;
  bool ends(const Text& text, const std::vector<TokenId>& answer) const;
  void forget_ended();
  Tensor forward(const std::vector<Row>& rows);

  // [b, 1, d] → [b, vocab] in fp32: only of the last position, never of a whole prompt.
  Tensor logits(const Tensor& x_b1d) { return model_.head()(model_.final_norm(x_b1d)).squeeze(1).to(at::kFloat).contiguous(); }
  at::ScalarType dtype() const { return model_.look_up(at::zeros({1, 1}, at::kLong)).scalar_type(); }

  CausalLm& model_;
  const Tokenizer& tokenizer_;
  std::vector<TokenId> eos_;
  EngineOptions options_;
  std::function<void(std::optional<std::size_t>)> use_adapter_;
  KvTexts kv_;
  Id next_ = 0;
};

void Engine::Texts::use(std::optional<std::size_t> adapter) const {
  if (use_adapter_) use_adapter_(adapter);
}

void Engine::Texts::check(const Request& request, std::size_t number) const {
  request.options.validate();
  use(request.adapter);
  const auto& facts = model_.facts;
  const auto& prompt = request.prompt;
  const LogitsProcessors refuses_ids_that_the_model_lacks(request.options.sampling, eos_, facts.vocab_size);
  const auto refuse = [&](std::string found, std::string expected, const char* remedy) {
    throw DataError({.who = prompt.name.empty() ? fmt::format("prompt {}", prompt.number.value_or(number) + 1) : prompt.name,
                     .found = std::move(found),
                     .expected = std::move(expected),
                     .remedy = remedy});
  };
  const auto& ids = prompt.ids;
  if (ids.empty()) refuse("no tokens", "at least one to go on from", "");
  if (std::ssize(ids) >= facts.max_positions)
    refuse(fmt::format("{} tokens", ids.size()), fmt::format("at most {}, one less than the model's context of {}", facts.max_positions - 1, facts.max_positions), "shorten it");
  const auto [least, greatest] = std::minmax_element(ids.begin(), ids.end());
  const auto wrong = *least < 0 ? *least : *greatest;
  if (wrong < 0 || wrong >= facts.vocab_size)
    refuse(fmt::format("token {}", wrong), fmt::format("ids below the model's {} tokens", facts.vocab_size), "the tokenizer belongs to another model");
}

Engine::Id Engine::Texts::add(Request request) {
  check(request, next_);
  if (!request.prompt.number) request.prompt.number = next_;
  waiting.push_back(std::make_unique<Text>(next_, std::move(request), tokenizer_, eos_, model_.facts));
  return next_++;
}

void Engine::Texts::cancel(Id id) {
  const auto is = [id](const std::unique_ptr<Text>& text) { return text->id == id; };
  std::erase_if(waiting, is);
  if (const auto at = std::find_if(growing.begin(), growing.end(), is); at != growing.end()) (*at)->ended = true;
}

bool Engine::Texts::step() {
  const AnswerMode answer_mode(*model_.random);
  forget_ended();
  grow();
  forget_ended();
  // A search of more beams than there are places has them to itself.
  for (; !waiting.empty() && (growing.empty() || rows() + waiting.front()->rows() <= options_.batch_size); waiting.pop_front()) growing.push_back(std::move(waiting.front()));
  read_prompts();
  forget_ended();
  return !growing.empty() || !waiting.empty();
}

std::int64_t Engine::Texts::rows() const {
  return std::accumulate(growing.begin(), growing.end(), std::int64_t{0}, [](std::int64_t sum, const auto& text) { return sum + text->rows(); });
}

// Whole chunks, until they make one together: a prompt's numbers do not depend on what is read beside it.
void Engine::Texts::read_prompts() {
  std::int64_t read = 0;
  for (std::size_t i = 0; i < growing.size(); ++i) {
    auto& text = *growing[i];
    while (!text.prompt_read && !text.ended && read < options_.prefill_chunk) read += read_chunk(text);
  }
}

std::int64_t Engine::Texts::read_chunk(Text& text) {
  use(text.request.adapter);
  const std::span prompt(text.request.prompt.ids);
  auto& kv = text.kv.front();
  if (kv.length == 0) kv = kv_.begin(text.request.prompt.ids, text.request.adapter);
  const auto begin = kv_.tokens(kv), left = text.prompt_length() - begin;
  const auto t = model_.facts.sees_ahead ? left : std::min(left, options_.prefill_chunk - begin % options_.prefill_chunk);
  const auto x_1td = forward({{&kv, prompt.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(t)), begin}});
  text.prompt_read = t == left;
  if (text.prompt_read) take(text, logits(x_1td.narrow(1, t - 1, 1)));
  return t;
}

// One more token for every text whose prompt is read, those of one adapter together.
void Engine::Texts::grow() {
  std::set<std::optional<std::size_t>> adapters;
  for (const auto& text : growing) adapters.insert(text->request.adapter);
  for (const auto adapter : adapters) {
    std::vector<Text*> texts;
    for (const auto& text : growing)
      if (text->prompt_read && !text->ended && text->request.adapter == adapter) texts.push_back(text.get());
    if (texts.empty()) continue;
    use(adapter);
    grow(texts);
  }
}

void Engine::Texts::grow(const std::vector<Text*>& texts) {
  std::vector<Row> rows;
  for (auto* text : texts)
    for (std::size_t beam = 0; beam < text->kv.size(); ++beam) {
      const auto& answer = text->searches() ? text->search.growing()[beam].ids : text->generation.ids;
      rows.push_back({&text->kv[beam], std::span(answer).last(1), text->length() - 1});
    }
  const auto logits_bv = logits(forward(rows));
  std::int64_t row = 0;
  for (auto* text : texts) {
    const auto count = std::ssize(text->kv);
    take(*text, logits_bv.narrow(0, row, count));
    row += count;
  }
}

Tensor Engine::Texts::forward(const std::vector<Row>& rows) {
  const auto t = std::ssize(rows.front().tokens);
  KvCache cache;
  for (const auto& row : rows) {
    kv_.reserve(*row.kv, row.begin + t);
    cache.texts.push_back(row.kv);
  }
  const bool first = cache.empty();
  auto x_btd = model_.hidden(batch_of(rows), &cache);
  cache.advance(std::vector(rows.size(), (first && model_.has_virtual_tokens() ? model_.side->length() : 0) + t));
  return x_btd;
}

void Engine::Texts::take(Text& text, const Tensor& logits_bv) {
  if (text.ended) return;  // a listener of another one cancelled it
  try {
    if (!(text.searches() ? search(text, logits_bv) : pick(text, row_of(logits_bv, 0)))) end(text);
  } catch (const Error& error) {
    if (!text.request.on_error) throw;
    text.ended = true;
    text.request.on_error(error);
  }
}

// Chooses a text's next token. @return whether another one is wanted.
bool Engine::Texts::pick(Text& text, std::span<float> logits) {
  auto& generation = text.generation;
  const auto& options = text.request.options;
  const auto own = options.log_probs ? std::vector<float>(logits.begin(), logits.end()) : std::vector<float>();
  text.processors.apply(logits, text.request.prompt.ids, generation.ids);
  const auto id = text.sampler.pick(logits, *text.request.prompt.number, static_cast<std::uint64_t>(text.length()));
  if (contains(text.ends, id)) {
    generation.finish = FinishReason::kEos;
    return false;
  }
  generation.ids.push_back(id);
  if (options.log_probs) generation.log_probs.push_back(log_probs(own, id, static_cast<std::size_t>(*options.log_probs)));
  const auto piece = text.stream.push(id);
  if (!piece.empty() && text.request.on_text) text.request.on_text(piece, generation);
  if (text.stream.stopped()) generation.finish = FinishReason::kStop;
  else if (std::ssize(generation.ids) == options.max_new_tokens) generation.finish = FinishReason::kLength;
  else if (text.length() == model_.facts.max_positions) generation.finish = FinishReason::kContext;
  else return true;
  return false;
}

// A token more for every beam. @return whether the search goes on.
bool Engine::Texts::search(Text& text, const Tensor& logits_bv) {
  std::vector<BeamSearch::Candidate> candidates;
  for (std::size_t beam = 0; beam < text.kv.size(); ++beam) {
    const auto scores = row_of(logits_bv, static_cast<std::int64_t>(beam));
    log_softmax(scores);
    text.processors.apply(scores, text.request.prompt.ids, text.search.growing()[beam].ids);
    text.search.offer(beam, scores, text.sampler, text.request.options.sampling, *text.request.prompt.number, candidates);
  }
  const auto parents = text.search.advance(std::move(candidates), [&](const std::vector<TokenId>& answer) { return ends(text, answer); });
  if (parents.empty()) return false;
  std::vector<KvText> kv;
  for (auto at = parents.begin(); at != parents.end(); ++at) {
    const bool last = std::find(at + 1, parents.end(), *at) == parents.end();
    kv.push_back(last ? std::move(text.kv[*at]) : kv_.copy(text.kv[*at]));
  }
  text.kv = std::move(kv);
  return true;
}

bool Engine::Texts::ends(const Text& text, const std::vector<TokenId>& answer) const {
  if (contains(text.ends, answer.back())) return true;
  if (text.request.options.stop.empty() && text.request.prompt.stop.empty()) return false;
  auto stream = text.new_stream(tokenizer_);
  for (const auto id : answer) stream.push(id);
  return stream.stopped();
}

Generation Engine::Texts::generation_of(const Text& text, const BeamSearch::Beam& beam) const {
  Generation generation{.ids = beam.ids, .text = {}, .score = beam.score};
  if (contains(text.ends, beam.ids.back())) generation.ids.pop_back(), generation.finish = FinishReason::kEos;
  auto stream = text.new_stream(tokenizer_);
  for (const auto id : generation.ids) stream.push(id);
  stream.finish();
  generation.text = stream.text();
  if (stream.stopped()) generation.finish = FinishReason::kStop;
  else if (generation.finish != FinishReason::kEos && std::ssize(generation.ids) < text.request.options.max_new_tokens) generation.finish = FinishReason::kContext;
  return generation;
}

void Engine::Texts::end_search(Text& text) const {
  for (const auto& beam : text.search.best()) text.generation.others.push_back(generation_of(text, beam));
  auto best = std::move(text.generation.others.front());
  best.others.assign(std::make_move_iterator(text.generation.others.begin() + 1), std::make_move_iterator(text.generation.others.end()));
  text.generation = std::move(best);
  if (text.request.on_text) text.request.on_text(text.generation.text, text.generation);
}

void Engine::Texts::end(Text& text) {
  if (text.searches()) {
    end_search(text);
  } else {
    const auto piece = text.stream.finish();
    if (!piece.empty() && text.request.on_text && !text.ended) text.request.on_text(piece, text.generation);
    if (text.stream.stopped()) text.generation.finish = FinishReason::kStop;
    text.generation.text = text.stream.text();
  }
  if (text.request.on_done && !text.ended) text.request.on_done(text.generation);
  text.ended = true;
}

void Engine::Texts::forget_ended() {
  for (auto& text : growing) {
    if (!text->ended || text->searches()) continue;
    use(text->request.adapter);
    kv_.end(std::move(text->kv.front()), joined(text->request.prompt.ids, text->generation.ids), text->request.adapter);
  }
  std::erase_if(growing, [](const auto& text) { return text->ended; });
}

const char* name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kEos: return "eos";
    case FinishReason::kStop: return "stop";
    case FinishReason::kContext: return "context";
    case FinishReason::kLength: break;
  }
  return "length";
}

namespace {

void at_least(const char* key, std::int64_t value, std::int64_t least) {
  if (value < least) throw ConfigError({.who = key, .found = std::to_string(value), .expected = fmt::format("at least {}", least), .remedy = ""});
}

}  // namespace

void GenerationOptions::validate() const {
  sampling.validate();
  at_least("max-new-tokens", max_new_tokens, 1);
  beam.validate();
  if (log_probs) at_least("log-probs", *log_probs, 0);
  if (log_probs && beam.beams > 1) throw ConfigError({.who = "log-probs", .found = "a beam search", .expected = "one beam", .remedy = ""});
  if (sampling.min_new_tokens > max_new_tokens)
    throw ConfigError({.who = "min-new-tokens", .found = std::to_string(sampling.min_new_tokens), .expected = fmt::format("at most max-new-tokens, {}", max_new_tokens), .remedy = ""});
  const StopMatcher refuses_empty_ones(stop);
}

void EngineOptions::validate() const {
  at_least("batch-size", batch_size, 1);
  at_least("prefill-chunk", prefill_chunk, 1);
  at_least("kept-texts", kept_texts, 0);
}

Engine::Engine(CausalLm& model, const Tokenizer& tokenizer, std::vector<TokenId> eos, EngineOptions options, std::function<void(std::optional<std::size_t>)> use_adapter) {
  options.validate();
  texts_ = std::make_unique<Texts>(model, tokenizer, std::move(eos), options, std::move(use_adapter));
}
Engine::~Engine() = default;

void Engine::check(const Request& request) const { texts_->check(request, 0); }
Engine::Id Engine::add(Request request) { return texts_->add(std::move(request)); }
void Engine::cancel(Id id) { texts_->cancel(id); }
bool Engine::step() { return texts_->step(); }
std::size_t Engine::waiting() const { return texts_->waiting.size(); }
std::size_t Engine::growing() const { return texts_->growing.size(); }

std::vector<Generation> generate(Engine& engine, std::vector<Request> requests) {
  std::vector<Generation> all(requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    auto& request = requests[i];
    if (!request.prompt.number) request.prompt.number = i;
    engine.check(request);
    request.on_done = [&all, i, then = std::move(request.on_done)](const Generation& generation) {
      all[i] = generation;
      if (then) then(generation);
    };
  }
  for (auto& request : requests) engine.add(std::move(request));
  while (engine.step()) {}
  return all;
}

}  // namespace herd
