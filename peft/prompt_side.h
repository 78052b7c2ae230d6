#pragma once
#include <span>

#include "peft/prompt_encoder.h"
#include "runtime/nn/parameter_values.h"

namespace herd {

/// In PEFT's file the side input has this name, whatever made it.
inline constexpr const char* kPromptEmbeddings = "prompt_embeddings";

/// The side input of prompt, P- and prefix tuning: a table of n rows, N(0, 1) where it begins at random, and maybe an encoder behind it.
class PromptSide final : public SideInput {
 public:
  /// @param width of the table's rows.
  PromptSide(Kind kind, std::int64_t n, std::int64_t width, std::unique_ptr<PromptEncoder> encoder, at::ScalarType dtype, const PeftStart& start);

  Tensor produce() override;
  void visit(Visitor& v) override;
  bool has_encoder() const { return encoder_ != nullptr; }
  Parameter& table() { return table_; }

 private:
  Parameter table_;  // [n, d]; without an encoder [n, what comes out]
  std::unique_ptr<PromptEncoder> encoder_;
};

/// Gives a model its side input and freezes all else. Its texts are then shorter by what takes their positions.
/// @throws ConfigError where nothing is left of them.
void attach_side(CausalLm& model, std::unique_ptr<PromptSide> side);

/// The dtype that a model's new numbers have: fp32 beside bf16 and fp16.
at::ScalarType dtype_of_prompts(CausalLm& model);

/// What a PEFT folder keeps of a side input: what comes out of it. @param values of the trained parameters, where they are not in the model.
TensorToWrite stored_prompt(CausalLm& model, const ParameterValues& values);

/// Begins virtual tokens as the embeddings of a text's tokens, repeated or cut to n rows (Lester et al. 2021, section 3.2, as PEFT does it).
/// @param read values of the embedding where it is on the meta device. @throws ConfigError where there are no ids.
void start_from_tokens(CausalLm& model, std::span<const std::int32_t> ids, const ReadParameter& read);

}  // namespace herd
