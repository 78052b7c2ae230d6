#include "peft/prompt.h"

#include "peft/peft_options.h"
#include "peft/prompt_side.h"

namespace herd {
namespace {

constexpr const char* kEncoder = "prompt_encoder";

// An adapter's folder holds what came out of the encoder, and no encoder: it is trained on as a table.
bool has_encoder(const PeftOptions& options) { return options.adapter.empty(); }

std::int64_t width_of_encoder(const PeftOptions& options, std::int64_t d) { return options.encoder_hidden_size > 0 ? options.encoder_hidden_size : d; }

}  // namespace

void attach_prompt(CausalLm& model, const PeftOptions& options, const PeftStart& start) {
  attach_side(model, std::make_unique<PromptSide>(SideInput::Kind::kTokens, options.num_virtual_tokens, model.facts.hidden_size, nullptr,
                                                  dtype_of_prompts(model), start));
}

void attach_p_tuning(CausalLm& model, const PeftOptions& options, const PeftStart& start) {
  const auto d = model.facts.hidden_size, hidden = width_of_encoder(options, d);
  const EncoderPlace place{kEncoder, dtype_of_prompts(model), start};
  std::unique_ptr<PromptEncoder> encoder;
  if (has_encoder(options))
    encoder = options.encoder == PromptEncoderKind::kMlp ? mlp_encoder(d, hidden, place)
                                                         : lstm_encoder(d, hidden, options.encoder_num_layers, options.dropout, model.random, place);
  attach_side(model, std::make_unique<PromptSide>(SideInput::Kind::kTokens, options.num_virtual_tokens, d, std::move(encoder), place.dtype, start));
}

void attach_prefix(CausalLm& model, const PeftOptions& options, const PeftStart& start) {
  const auto d_kv = model.facts.kv_heads * model.facts.head_dim, out = 2 * static_cast<std::int64_t>(model.blocks.size()) * d_kv;
  const EncoderPlace place{kEncoder, dtype_of_prompts(model), start};
  std::unique_ptr<PromptEncoder> encoder;
  if (options.prefix_projection && has_encoder(options)) encoder = prefix_projection(d_kv, width_of_encoder(options, d_kv), out, place);
  const auto width = encoder ? d_kv : out;
  attach_side(model, std::make_unique<PromptSide>(SideInput::Kind::kKeysAndValues, options.num_virtual_tokens, width, std::move(encoder), place.dtype,
                                                  start));
}

void reorder_old_bloom_prefix(CausalLm& model) {
  at::NoGradGuard no_grad;
  auto& table = static_cast<PromptSide&>(*model.side).table().value;
  const auto n = table.size(0), layers = static_cast<std::int64_t>(model.blocks.size());
  const auto side_layer = table.detach().clone().view({n, 2, layers, -1});
  table.copy_(side_layer.transpose(1, 2).reshape(table.sizes()));
}

}  // namespace herd
