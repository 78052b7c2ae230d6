#pragma once
#include <memory>
#include <string>
#include <utility>

#include "runtime/nn/causal_lm.h"

namespace herd {

/// What every family here has around its blocks: a token embedding, a last norm and a head that may share the embedding's matrix.
/// A family fills `blocks` and gives `context`.
template <class Norm>
class Decoder : public CausalLm {
 public:
  /// Hugging Face names of the parts.
  struct Names {
    std::string embedding = "model.embed_tokens", blocks = "model.layers", norm = "model.norm", head = "lm_head";
  };

  /// @param known vocabulary, hidden size, `tied` and what others ask for.
  Decoder(ModelFacts known, double eps, Names names = {}, bool head_bias = false)
      : embedding_(known.vocab_size, known.hidden_size), norm_(known.hidden_size, eps),
        head_(known.hidden_size, known.vocab_size, head_bias, "vocab", "embed"), names_(std::move(names)) {
    facts = std::move(known);
    Decoder::tie();
  }

  Tensor look_up(const Tensor& tokens_bt) override { return embedding_(tokens_bt); }
  Tensor final_norm(const Tensor& x_btd) override { return norm_(x_btd); }
  Linear& head() override { return head_; }

  void visit_embedding(Visitor& v) override { v(names_.embedding, embedding_); }
  void visit_head(Visitor& v) override {
    v(names_.norm, norm_);
    if (facts.tied) v(names_.head + ".bias", head_.bias());
    else v(names_.head, head_);
  }
  std::string block_name(std::size_t index) const override { return names_.blocks + "." + std::to_string(index); }
  void tie() override {
    if (facts.tied) head_.weight().value = embedding_.weight.value;
  }

 protected:
  Embedding embedding_;  // [vocab, d]
  Norm norm_;            // [d]
  Linear head_;          // [vocab, d], [vocab]

 private:
  Names names_;
};

}  // namespace herd
