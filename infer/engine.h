#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "infer/request.h"
#include "runtime/nn/causal_lm.h"

namespace herd {

/// How a batch runs through the model: logits of what follows each row's last token, fp32 [b, vocab] (CausalLm::next_logits).
using NextLogits = std::function<Tensor(const Batch& batch, KvCache& cache)>;

struct EngineOptions {
  std::int64_t batch_size = 8;        ///< texts that grow side by side
  std::int64_t prefill_chunk = 512;   ///< tokens of prompts that are read between two new tokens of the texts that grow already
  std::int64_t kept_texts = 0;        ///< texts that have ended whose keys and values are kept for prompts that begin like them
  at::Device device = at::kCPU;       ///< where the model is
  bool int8_kv = false;               ///< keys and values in eight bits (KvSlab): half of bf16's memory, and what follows changes within their rounding

  void validate() const;
  bool operator==(const EngineOptions&) const = default;
};

/// Answers requests with a causal language model, those at hand side by side (continuous batching, Yu et al. 2022): each step gives every growing text a
/// token, and one that ends gives its place to the next request at once. Prompts are read in chunks between the steps.
/// A text draws its random numbers by (seed, Prompt::number, position), and its prompt is cut into chunks by itself: it is the same whatever is answered beside it,
/// up to the rounding of matrix products of another height, and of a beginning that was kept from another text.
/// For one thread; listeners are called on it and may call add() and cancel().
class Engine {
 public:
  using Id = std::uint64_t;

  /// @param eos ids that end a text. Model and tokenizer must outlive the engine.
  /// @param use_adapter puts one in place (Adapters::use); none: no request names one.
  /// @param next_logits another way than the model's own pass; none: that.
  Engine(CausalLm& model, const Tokenizer& tokenizer, std::vector<TokenId> eos, EngineOptions options,
         std::function<void(std::optional<std::size_t>)> use_adapter = {}, NextLogits next_logits = {});
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// What add() refuses. @throws DataError naming a prompt that is empty, fills the context, or holds ids that the model lacks; ConfigError of its options.
  void check(const Request& request) const;
  Id add(Request request);
  /// Its listeners hear no more of it. Nothing where it has ended.
  void cancel(Id id);
  /// One round. @return whether there is more to do. @throws DataError where no token follows from the logits and the request has no on_error.
  bool step();

  std::size_t waiting() const;
  std::size_t growing() const;  ///< their prompts may still be under way
  std::int64_t prompt_tokens_read() const;  ///< of all prompts so far; what goes on from a kept text is not read again

 private:
  class Texts;
  std::unique_ptr<Texts> texts_;
};

/// All of them, answered; in their order. Nothing is answered where any of them cannot be (Engine::check).
std::vector<Generation> generate(Engine& engine, std::vector<Request> requests);

}  // namespace herd
