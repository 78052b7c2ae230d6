#include "infer/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <exception>
#include <numeric>
#include <set>
#include <span>

#include "infer/answer_mode.h"
#include "infer/growing_text.h"
#include "infer/kv_texts.h"
#include "runtime/base/error.h"
#include "runtime/nn/on_device.h"

namespace herd {
namespace {

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

/// A text with what is kept of it.
struct Entry {
  Engine::Id id;
  GrowingText text;
  std::vector<KvText> kv = std::vector<KvText>(1);  // one a growing beam
  bool prompt_read = false, ended = false;

  const Request& request() const { return text.request(); }
  std::int64_t rows() const { return request().options.beam.beams; }
};

}  // namespace

class Engine::Texts {
 public:
  Texts(CausalLm& model, const Tokenizer& tokenizer, std::vector<TokenId> eos, EngineOptions options, std::function<void(std::optional<std::size_t>)> use_adapter,
        NextLogits next_logits)
      : model_(model), tokenizer_(tokenizer), eos_(std::move(eos)), options_(options), use_adapter_(std::move(use_adapter)), next_logits_(std::move(next_logits)),
        kv_(model, dtype(), options.device, static_cast<std::size_t>(options.kept_texts), options.int8_kv) {}

  void check(const Request& request, std::size_t number) const;
  Id add(Request request);
  void cancel(Id id);
  bool step();

  std::deque<std::unique_ptr<Entry>> waiting;
  std::vector<std::unique_ptr<Entry>> growing;
  std::int64_t prompt_tokens_read = 0;

 private:
  void use(std::optional<std::size_t> adapter) const;
  std::int64_t rows() const;
  void read_prompts();
  std::int64_t read_chunk(Entry& entry);
  void grow();
  void grow(const std::vector<Entry*>& entries);
  Tensor next_logits(const std::vector<Row>& rows);
  void take(Entry& entry, const Tensor& logits_bv);
  bool goes_on(Entry& entry, const Tensor& logits_bv);
  void guarded(Entry& entry, const std::function<void()>& work);
  void end(Entry& entry);
  void forget_ended();

  // Of the first parameter, the embedding: its value may be elsewhere.
  at::ScalarType dtype() const {
    std::optional<at::ScalarType> found;
    for_each_parameter(model_, [&](const std::string&, Parameter& p) { found = found.value_or(p.value.scalar_type()); });
    return *found;
  }

  CausalLm& model_;
  const Tokenizer& tokenizer_;
  std::vector<TokenId> eos_;
  EngineOptions options_;
  std::function<void(std::optional<std::size_t>)> use_adapter_;
  NextLogits next_logits_;
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
  waiting.push_back(std::make_unique<Entry>(Entry{next_, GrowingText(std::move(request), tokenizer_, eos_, model_.facts)}));
  return next_++;
}

void Engine::Texts::cancel(Id id) {
  const auto is = [id](const std::unique_ptr<Entry>& entry) { return entry->id == id; };
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
  return std::accumulate(growing.begin(), growing.end(), std::int64_t{0}, [](std::int64_t sum, const auto& entry) { return sum + entry->rows(); });
}

// Whole chunks, until they make one together: a prompt's numbers do not depend on what is read beside it.
void Engine::Texts::read_prompts() {
  std::int64_t read = 0;
  for (std::size_t i = 0; i < growing.size(); ++i) {
    auto& entry = *growing[i];
    while (!entry.prompt_read && !entry.ended && read < options_.prefill_chunk)
      guarded(entry, [&] { read += read_chunk(entry); });  // it runs alone: whose fault it is is certain
  }
}

std::int64_t Engine::Texts::read_chunk(Entry& entry) {
  const auto& request = entry.request();
  use(request.adapter);
  auto& kv = entry.kv.front();
  if (kv.length == 0) kv = kv_.begin(request.prompt.ids, request.adapter);
  const auto begin = kv_.tokens(kv), left = entry.text.prompt_length() - begin;
  const auto t = model_.facts.sees_ahead ? left : std::min(left, options_.prefill_chunk - begin % options_.prefill_chunk);
  const auto logits_1v = next_logits({{&kv, std::span(request.prompt.ids).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(t)), begin}});
  prompt_tokens_read += t;
  entry.prompt_read = t == left;
  if (entry.prompt_read) take(entry, logits_1v);
  return t;
}

// One more token for every text whose prompt is read, those of one adapter together.
void Engine::Texts::grow() {
  std::set<std::optional<std::size_t>> adapters;
  for (const auto& entry : growing) adapters.insert(entry->request().adapter);
  for (const auto adapter : adapters) {
    std::vector<Entry*> entries;
    for (const auto& entry : growing)
      if (entry->prompt_read && !entry->ended && entry->request().adapter == adapter) entries.push_back(entry.get());
    if (entries.empty()) continue;
    use(adapter);
    grow(entries);
  }
}

void Engine::Texts::grow(const std::vector<Entry*>& entries) {
  std::vector<Row> rows;
  for (auto* entry : entries)
    for (std::size_t beam = 0; beam < entry->kv.size(); ++beam) rows.push_back({&entry->kv[beam], std::span(entry->text.answer(beam)).last(1), entry->text.length() - 1});
  const auto logits_bv = next_logits(rows);
  std::int64_t row = 0;
  std::exception_ptr first;  // the others have their tokens too before it is thrown: their keys and values are there
  for (auto* entry : entries) {
    const auto count = std::ssize(entry->kv);
    try {
      take(*entry, logits_bv.narrow(0, row, count));
    } catch (...) {
      if (!first) first = std::current_exception();
    }
    row += count;
  }
  if (first) std::rethrow_exception(first);
}

Tensor Engine::Texts::next_logits(const std::vector<Row>& rows) {
  const auto t = std::ssize(rows.front().tokens);
  KvCache cache;
  for (const auto& row : rows) {
    kv_.reserve(*row.kv, row.begin + t);
    cache.texts.push_back(row.kv);
  }
  const auto beside = cache.empty() && model_.has_virtual_tokens() ? model_.side->length() : 0;
  const auto batch = on_device(batch_of(rows), options_.device);
  auto logits_bv = (next_logits_ ? next_logits_(batch, cache) : model_.next_logits(batch, cache)).cpu();
  cache.advance(std::vector(rows.size(), beside + t));
  return logits_bv;
}

void Engine::Texts::take(Entry& entry, const Tensor& logits_bv) {
  if (entry.ended) return;  // a listener of another one cancelled it
  guarded(entry, [&] {
    if (!goes_on(entry, logits_bv)) end(entry);
  });
}

// What goes wrong with a text ends it alone, where somebody hears of it; else the step too, and the next one finds the others whole.
void Engine::Texts::guarded(Entry& entry, const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    const bool told = entry.ended;
    entry.ended = true;
    if (!entry.request().on_error) throw;
    if (!told) entry.request().on_error(error);
  }
}

bool Engine::Texts::goes_on(Entry& entry, const Tensor& logits_bv) {
  const std::span numbers(logits_bv.data_ptr<float>(), static_cast<std::size_t>(logits_bv.numel()));
  if (!entry.text.searches()) return entry.text.pick(numbers);
  use(entry.request().adapter);  // a listener's add() may have changed it
  const auto parents = entry.text.pick_beams(numbers);
  std::vector<KvText> kv;
  for (auto at = parents.begin(); at != parents.end(); ++at) {
    const bool last = std::find(at + 1, parents.end(), *at) == parents.end();
    kv.push_back(last ? std::move(entry.kv[*at]) : kv_.copy(entry.kv[*at]));
  }
  entry.kv = std::move(kv);
  return !parents.empty();
}

void Engine::Texts::end(Entry& entry) {
  const auto& request = entry.request();
  const auto piece = entry.text.finish();
  if (!piece.empty() && request.on_text && !entry.ended) request.on_text(piece, entry.text.generation());
  if (request.on_done && !entry.ended) request.on_done(entry.text.generation());
  entry.ended = true;
}

void Engine::Texts::forget_ended() {
  for (auto& entry : growing) {
    if (!entry->ended || entry->text.searches()) continue;
    use(entry->request().adapter);
    auto ids = entry->request().prompt.ids;
    ids.insert(ids.end(), entry->text.answer(0).begin(), entry->text.answer(0).end());
    kv_.end(std::move(entry->kv.front()), std::move(ids), entry->request().adapter);
  }
  std::erase_if(growing, [](const auto& entry) { return entry->ended; });
}

void EngineOptions::validate() const {
  const auto at_least = [](const char* key, std::int64_t value, std::int64_t least) {
    if (value < least) throw ConfigError({.who = key, .found = std::to_string(value), .expected = fmt::format("at least {}", least), .remedy = ""});
  };
  at_least("batch-size", batch_size, 1);
  at_least("prefill-chunk", prefill_chunk, 1);
  at_least("kept-texts", kept_texts, 0);
}

Engine::Engine(CausalLm& model, const Tokenizer& tokenizer, std::vector<TokenId> eos, EngineOptions options, std::function<void(std::optional<std::size_t>)> use_adapter,
               NextLogits next_logits) {
  options.validate();
  texts_ = std::make_unique<Texts>(model, tokenizer, std::move(eos), options, std::move(use_adapter), std::move(next_logits));
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
  std::vector<Engine::Id> ids;
  try {
    for (auto& request : requests) ids.push_back(engine.add(std::move(request)));
    while (engine.step()) {}
  } catch (...) {
    for (const auto id : ids) engine.cancel(id);  // their listeners are gone
    throw;
  }
  return all;
}

}  // namespace herd
