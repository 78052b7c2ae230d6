#include "infer/generate.h"

#include <fmt/format.h>

#include <algorithm>

#include "infer/logits_processors.h"
#include "infer/slot_cache.h"
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

struct Text {
  Text(const Prompt& prompt, std::size_t index, const Tokenizer& tokenizer, const std::vector<std::string>& stop, LogitsProcessors for_scores)
      : place(index), number(prompt.number.value_or(index)), length(static_cast<std::int64_t>(prompt.ids.size())),
        processors(std::move(for_scores)), stream(tokenizer, prompt.ids, joined(stop, prompt.stop), prompt.output) {}
  std::size_t place;       // of its prompt among the run's
  std::size_t number;      // Prompt::number
  std::int64_t length;     // of prompt and answer
  LogitsProcessors processors;
  TextStream stream;
  Generation generation;
};

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

/// The next token of each of several texts: [n, 1], each at its own position.
Batch next_tokens(const std::vector<Text>& texts) {
  const auto n = static_cast<std::int64_t>(texts.size());
  Batch batch;
  batch.tokens_bt = at::empty({n, 1}, at::kLong);
  batch.positions_bt = at::empty({n, 1}, at::kLong);
  for (std::int64_t row = 0; row < n; ++row) {
    const auto& text = texts[static_cast<std::size_t>(row)];
    batch.tokens_bt.data_ptr<std::int64_t>()[row] = text.generation.ids.back();
    batch.positions_bt.data_ptr<std::int64_t>()[row] = text.length - 1;
    batch.segments.push_back({row, 0, 1});
  }
  return batch;
}

/// One call of Generator::run.
class Run {
 public:
  Run(CausalLm& model, const Tokenizer& tokenizer, const std::vector<TokenId>& eos, const GenerationOptions& options,
      std::span<const Prompt> prompts, const GenerationListener& listener)
      : model_(model), tokenizer_(tokenizer), eos_(eos), options_(options), prompts_(prompts), listener_(listener),
        sampler_(options.sampling), slots_(slots()), cache_(model, dtype(), slots_, model.facts.max_positions), done_(prompts.size()) {}

  std::vector<Generation> operator()() {
    for (std::size_t next = 0; next < prompts_.size() || !texts_.empty();) {
      while (next < prompts_.size() && static_cast<std::int64_t>(texts_.size()) < slots_) begin(next++);
      if (!texts_.empty()) step();
    }
    return std::move(done_);
  }

 private:
  // Runs a prompt alone, into the slot behind those in use: its numbers are those of a run without company.
  void begin(std::size_t place) {
    const auto& prompt = prompts_[place];
    const auto tokens = static_cast<std::int64_t>(prompt.ids.size());
    cache_.reserve(tokens, held());
    auto view = cache_.view(static_cast<std::int64_t>(texts_.size()), {0});
    const auto batch = plain_batch({std::vector<std::int64_t>(prompt.ids.begin(), prompt.ids.end())});
    const auto last_b1d = model_.hidden(batch, &view).narrow(1, tokens - 1, 1);
    cache_.keep(static_cast<std::int64_t>(texts_.size()), view);
    texts_.emplace_back(prompt, place, tokenizer_, options_.stop, LogitsProcessors(options_.sampling, joined(eos_, prompt.ends), model_.facts.vocab_size));
    if (!take(texts_.back(), logits(last_b1d)[0])) end(texts_.size() - 1);
  }

  // One more token for every text.
  void step() {
    cache_.reserve(held() + 1, held());
    std::vector<std::int64_t> lengths;
    for (const auto& text : texts_) lengths.push_back(text.length - 1);
    auto view = cache_.view(0, lengths);
    const auto logits_bv = logits(model_.hidden(next_tokens(texts_), &view));
    std::vector<bool> going;
    for (std::size_t row = 0; row < texts_.size(); ++row) going.push_back(take(texts_[row], logits_bv[static_cast<std::int64_t>(row)]));
    for (auto row = texts_.size(); row-- > 0;)
      if (!going[row]) end(row);
  }

  // Chooses a text's next token. @return whether another one is wanted.
  bool take(Text& text, const Tensor& logits_v) {
    auto& generation = text.generation;
    const std::span row(logits_v.data_ptr<float>(), static_cast<std::size_t>(logits_v.numel()));
    text.processors.apply(row, prompts_[text.place].ids, generation.ids);
    const auto id = sampler_.pick(row, text.number, static_cast<std::uint64_t>(text.length));
    if (contains(eos_, id) || contains(prompts_[text.place].ends, id)) {
      generation.finish = FinishReason::kEos;
      return false;
    }
    generation.ids.push_back(id);
    ++text.length;
    tell(text, text.stream.push(id));
    if (text.stream.stopped()) generation.finish = FinishReason::kStop;
    else if (static_cast<std::int64_t>(generation.ids.size()) == options_.max_new_tokens) generation.finish = FinishReason::kLength;
    else if (text.length == model_.facts.max_positions) generation.finish = FinishReason::kContext;
    else return true;
    return false;
  }

  // Closes a text; the last one moves into its slot.
  void end(std::size_t row) {
    auto& text = texts_[row];
    tell(text, text.stream.finish());
    if (text.stream.stopped()) text.generation.finish = FinishReason::kStop;
    text.generation.text = text.stream.text();
    const auto place = text.place, number = text.number;
    done_[place] = std::move(text.generation);
    if (row + 1 < texts_.size()) {
      cache_.copy(static_cast<std::int64_t>(texts_.size()) - 1, static_cast<std::int64_t>(row), texts_.back().length - 1);
      texts_[row] = std::move(texts_.back());
    }
    texts_.pop_back();
    if (listener_.on_done) listener_.on_done(number, done_[place]);
  }

  void tell(const Text& text, const std::string& piece) const {
    if (!piece.empty() && listener_.on_text) listener_.on_text(text.number, piece);
  }

  // [b, 1, d] → [b, vocab] in fp32: only of the last position, never of a whole prompt.
  Tensor logits(const Tensor& x_b1d) { return model_.head()(model_.final_norm(x_b1d)).squeeze(1).to(at::kFloat).contiguous(); }

  // Tokens in the fullest slot: a text's newest token is not there yet.
  std::int64_t held() const {
    std::int64_t most = 0;
    for (const auto& text : texts_) most = std::max(most, text.length - 1);
    return most;
  }

  at::ScalarType dtype() const { return model_.look_up(at::zeros({1, 1}, at::kLong)).scalar_type(); }

  std::int64_t slots() const { return std::clamp<std::int64_t>(static_cast<std::int64_t>(prompts_.size()), 1, options_.batch_size); }

  CausalLm& model_;
  const Tokenizer& tokenizer_;
  const std::vector<TokenId>& eos_;
  const GenerationOptions& options_;
  std::span<const Prompt> prompts_;
  const GenerationListener& listener_;
  TokenSampler sampler_;
  std::int64_t slots_;
  SlotCache cache_;
  std::vector<Text> texts_;  // text i lives in slot i
  std::vector<Generation> done_;
};

}  // namespace

const char* name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kEos: return "eos";
    case FinishReason::kStop: return "stop";
    case FinishReason::kContext: return "context";
    case FinishReason::kLength: break;
  }
  return "length";
}

void GenerationOptions::validate() const {
  sampling.validate();
  const auto at_least_one = [](const char* key, std::int64_t value) {
    if (value < 1) throw ConfigError({.who = key, .found = std::to_string(value), .expected = "at least 1", .remedy = ""});
  };
  at_least_one("max-new-tokens", max_new_tokens);
  at_least_one("batch-size", batch_size);
  if (sampling.min_new_tokens > max_new_tokens)
    throw ConfigError({.who = "min-new-tokens",
                       .found = std::to_string(sampling.min_new_tokens),
                       .expected = fmt::format("at most max-new-tokens, {}", max_new_tokens),
                       .remedy = ""});
  const StopMatcher refuses_empty_ones(stop);
}

Generator::Generator(CausalLm& model, const Tokenizer& tokenizer, std::vector<TokenId> eos, GenerationOptions options)
    : model_(model), tokenizer_(tokenizer), eos_(std::move(eos)), options_(std::move(options)) {
  options_.validate();
  const LogitsProcessors refuses_ids_that_the_model_lacks(options_.sampling, eos_, model_.facts.vocab_size);
}

std::vector<Generation> Generator::run(std::span<const Prompt> prompts, const GenerationListener& listener) {
  check(prompts);
  const AnswerMode answer_mode(*model_.random);
  return Run(model_, tokenizer_, eos_, options_, prompts, listener)();
}

void Generator::check(std::span<const Prompt> prompts) const {
  const auto& facts = model_.facts;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const auto& ids = prompts[i].ids;
    const auto refuse = [&](std::string found, std::string expected, const char* remedy) {
      throw DataError({.who = prompts[i].name.empty() ? fmt::format("prompt {}", prompts[i].number.value_or(i) + 1) : prompts[i].name,
                       .found = std::move(found),
                       .expected = std::move(expected),
                       .remedy = remedy});
    };
    if (ids.empty()) refuse("no tokens", "at least one to go on from", "");
    if (static_cast<std::int64_t>(ids.size()) >= facts.max_positions)
      refuse(fmt::format("{} tokens", ids.size()),
             fmt::format("at most {}, one less than the model's context of {}", facts.max_positions - 1, facts.max_positions),
             "shorten it");
    const auto [least, greatest] = std::minmax_element(ids.begin(), ids.end());
    const auto wrong = *least < 0 ? *least : *greatest;
    if (wrong < 0 || wrong >= facts.vocab_size)
      refuse(fmt::format("token {}", wrong), fmt::format("ids below the model's {} tokens", facts.vocab_size),
             "the tokenizer belongs to another model");
  }
}

}  // namespace herd
