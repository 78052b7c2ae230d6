#include "infer/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <set>

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

/// A request under way.
struct Text {
  Text(Engine::Id its_id, Request its_request, const Tokenizer& tokenizer, const std::vector<TokenId>& eos, std::int64_t vocab_size)
      : id(its_id), request(std::move(its_request)), ends(joined(eos, request.prompt.ends)), processors(request.options.sampling, ends, vocab_size),
        sampler(request.options.sampling), stream(tokenizer, request.prompt.ids, joined(request.options.stop, request.prompt.stop), request.prompt.output) {}

  std::int64_t prompt_length() const { return std::ssize(request.prompt.ids); }
  std::int64_t length() const { return prompt_length() + std::ssize(generation.ids); }

  Engine::Id id;
  Request request;
  std::vector<TokenId> ends;
  LogitsProcessors processors;
  TokenSampler sampler;
  TextStream stream;
  KvText kv{};
  Generation generation{};
  bool prompt_read = false, ended = false;
};

/// Tokens of one text, or the next token of each of several: [n, t], each at its own positions.
Batch batch_of(const std::vector<Text*>& texts, const std::vector<std::int64_t>& begin, std::int64_t t) {
  const auto n = std::ssize(texts);
  Batch batch;
  batch.tokens_bt = at::empty({n, t}, at::kLong);
  batch.positions_bt = at::empty({n, t}, at::kLong);
  batch.labels_bt = at::full({n, t}, kIgnoreLabel, at::kLong);
  for (std::int64_t row = 0; row < n; ++row) {
    const auto& text = *texts[static_cast<std::size_t>(row)];
    for (std::int64_t i = 0; i < t; ++i) {
      const auto place = begin[static_cast<std::size_t>(row)] + i;
      const auto token = place < text.prompt_length() ? text.request.prompt.ids[static_cast<std::size_t>(place)]
                                                      : text.generation.ids[static_cast<std::size_t>(place - text.prompt_length())];
      batch.tokens_bt.data_ptr<std::int64_t>()[row * t + i] = token;
      batch.positions_bt.data_ptr<std::int64_t>()[row * t + i] = place;
    }
    batch.segments.push_back({row, 0, t});
  }
  return batch;
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
  std::int64_t prompt_tokens_read = 0;

 private:
  void use(std::optional<std::size_t> adapter) const;
  void read_prompts();
  std::int64_t read_chunk(Text& text);
  void grow();
  void grow(const std::vector<Text*>& texts);
  void take(Text& text, const Tensor& logits_v);
  bool pick(Text& text, const Tensor& logits_v);
  void end(Text& text);
  void forget_ended();
  Tensor forward(const std::vector<Text*>& texts, const std::vector<std::int64_t>& begin, std::int64_t t);

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
  waiting.push_back(std::make_unique<Text>(next_, std::move(request), tokenizer_, eos_, model_.facts.vocab_size));
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
  for (; std::ssize(growing) < options_.batch_size && !waiting.empty(); waiting.pop_front()) growing.push_back(std::move(waiting.front()));
  read_prompts();
  forget_ended();
  return !growing.empty() || !waiting.empty();
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
  const auto& prompt = text.request.prompt.ids;
  if (text.kv.length == 0) text.kv = kv_.begin(prompt, text.request.adapter);
  const auto begin = kv_.tokens(text.kv), left = text.prompt_length() - begin;
  const auto t = model_.facts.sees_ahead ? left : std::min(left, options_.prefill_chunk - begin % options_.prefill_chunk);
  const auto x_1td = forward({&text}, {begin}, t);
  prompt_tokens_read += t;
  text.prompt_read = t == left;
  if (text.prompt_read) take(text, logits(x_1td.narrow(1, t - 1, 1))[0]);
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
  std::vector<std::int64_t> begin;
  for (const auto* text : texts) begin.push_back(text->length() - 1);
  const auto logits_bv = logits(forward(texts, begin, 1));
  for (std::size_t row = 0; row < texts.size(); ++row) take(*texts[row], logits_bv[static_cast<std::int64_t>(row)]);
}

Tensor Engine::Texts::forward(const std::vector<Text*>& texts, const std::vector<std::int64_t>& begin, std::int64_t t) {
  KvCache cache;
  for (std::size_t row = 0; row < texts.size(); ++row) {
    kv_.reserve(texts[row]->kv, begin[row] + t);
    cache.texts.push_back(&texts[row]->kv);
  }
  auto x_btd = model_.hidden(batch_of(texts, begin, t), &cache);
  const auto beside = cache.empty() && model_.has_virtual_tokens() ? model_.side->length() : 0;
  cache.advance(std::vector(texts.size(), beside + t));
  return x_btd;
}

void Engine::Texts::take(Text& text, const Tensor& logits_v) {
  if (text.ended) return;  // a listener of another one cancelled it
  try {
    if (!pick(text, logits_v)) end(text);
  } catch (const Error& error) {
    if (!text.request.on_error) throw;
    text.ended = true;
    text.request.on_error(error);
  }
}

// Chooses a text's next token. @return whether another one is wanted.
bool Engine::Texts::pick(Text& text, const Tensor& logits_v) {
  auto& generation = text.generation;
  const auto& options = text.request.options;
  const std::span row(logits_v.data_ptr<float>(), static_cast<std::size_t>(logits_v.numel()));
  const auto own = options.log_probs ? std::vector<float>(row.begin(), row.end()) : std::vector<float>();
  text.processors.apply(row, text.request.prompt.ids, generation.ids);
  const auto id = text.sampler.pick(row, *text.request.prompt.number, static_cast<std::uint64_t>(text.length()));
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

void Engine::Texts::end(Text& text) {
  const auto piece = text.stream.finish();
  if (!piece.empty() && text.request.on_text && !text.ended) text.request.on_text(piece, text.generation);
  if (text.stream.stopped()) text.generation.finish = FinishReason::kStop;
  text.generation.text = text.stream.text();
  if (text.request.on_done && !text.ended) text.request.on_done(text.generation);
  text.ended = true;
}

void Engine::Texts::forget_ended() {
  for (auto& text : growing)
    if (text->ended) use(text->request.adapter), kv_.end(std::move(text->kv), joined(text->request.prompt.ids, text->generation.ids), text->request.adapter);
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
  if (log_probs) at_least("log-probs", *log_probs, 0);
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
std::int64_t Engine::prompt_tokens_read() const { return texts_->prompt_tokens_read; }

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
