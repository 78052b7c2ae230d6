#include "peft/prompt_side.h"

#include "peft/select.h"
#include "runtime/base/error.h"

namespace herd {
namespace {

Parameter& embedding_of(CausalLm& model) {
  struct First final : Visitor {
    void on_parameter(const std::string&, Parameter& p) override {
      if (!found) found = &p;
    }
    Parameter* found = nullptr;
  } first;
  model.visit_embedding(first);
  return *first.found;
}

// What a checkpoint holds in place of what the model was made with.
void take_values(CausalLm& model, const ParameterValues& values) {
  at::NoGradGuard no_grad;
  for (auto* p : trained_parameters(model)) {
    const auto to = p->value.view(-1);
    std::int64_t filled = 0;
    values(*p, [&](const Tensor& piece) {
      to.narrow(0, filled, piece.numel()).copy_(piece.reshape(-1));
      filled += piece.numel();
    });
  }
}

}  // namespace

PromptSide::PromptSide(Kind kind, std::int64_t n, std::int64_t width, std::unique_ptr<PromptEncoder> encoder, at::ScalarType dtype,
                       const PeftStart& start)
    : SideInput(kind, n), table_({n, width}, {"virtual_tokens", "embed"}), encoder_(std::move(encoder)) {
  table_.name = encoder_ ? "prompt_encoder.embedding.weight" : kPromptEmbeddings;
  set_dtype(table_, dtype);
  if (!start.seed) return;
  materialise(table_, dtype);
  initialise(table_, *start.seed, 1);
}

Tensor PromptSide::produce() { return encoder_ ? (*encoder_)(table_.value) : table_.value.clone(); }

void PromptSide::visit(Visitor& v) {
  v("embedding.weight", table_);
  if (encoder_) encoder_->visit(v);
}

void attach_side(CausalLm& model, std::unique_ptr<PromptSide> side) {
  freeze(model);
  const auto n = side->length();
  model.side = std::move(side);
  if (model.has_prefix() && !model.facts.prefix_has_positions) return;
  if (n >= model.facts.max_positions)
    throw ConfigError({.who = "peft.num_virtual_tokens",
                       .found = std::to_string(n),
                       .expected = "less than the model's context of " + std::to_string(model.facts.max_positions) + ", which they take a part of",
                       .remedy = ""});
  model.facts.max_positions -= n;
}

at::ScalarType dtype_of_prompts(CausalLm& model) { return wide_type(embedding_of(model).value.scalar_type()); }

TensorToWrite stored_prompt(CausalLm& model, const ParameterValues& values) {
  if (values) take_values(model, values);
  at::NoGradGuard no_grad;
  return to_write(NamedTensors{{kPromptEmbeddings, model.side->produce().cpu()}}).front();
}

void start_from_tokens(CausalLm& model, std::span<const std::int32_t> ids, const ReadParameter& read) {
  if (ids.empty())
    throw ConfigError({.who = "peft.prompt_init_text", .found = "a text of no tokens", .expected = "at least one", .remedy = ""});
  at::NoGradGuard no_grad;
  auto& table = static_cast<PromptSide&>(*model.side).table();
  const auto& embedding = embedding_of(model);
  const auto d = embedding.value.size(1);
  for (std::int64_t row = 0; row < table.value.size(0); ++row) {
    const auto id = ids[static_cast<std::size_t>(row) % ids.size()];
    auto values = at::empty({d}, at::TensorOptions().dtype(embedding.value.scalar_type()));
    if (embedding.value.is_meta()) read(embedding, id * d, values);
    else values.copy_(embedding.value[id]);
    table.value[row].copy_(values);
  }
}

}  // namespace herd
