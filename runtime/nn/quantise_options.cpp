#include "runtime/nn/quantise_options.h"

#include <fmt/format.h>

namespace herd {

void describe(Schema& s, QuantOptions& o) {
  s.field("method", o.method, "how the matrices of the blocks' linear layers are kept")
      .one_of({"int8", "nf4", "fp4", "gptq"})
      .known_as({"quant_method", "bnb_4bit_quant_type"});
  s.field("block_size", o.block_size, "nf4, fp4: numbers that share a scale, a power of two")
      .range(32, 4096)
      .known_as({"blocksize"});
  s.field("double_quant", o.double_quant, "nf4, fp4: the scales are quantised in turn").known_as({"bnb_4bit_use_double_quant"});
  s.field("threshold", o.threshold, "int8: inputs of this magnitude or more are not quantised; 0: all are")
      .at_least(0)
      .known_as({"llm_int8_threshold"});
  s.field("bits", o.bits, "gptq: of a number, 2, 3, 4 or 8; null: the folder's own, or 4").range(2, 8);
  s.field("group_size", o.group_size, "gptq: inputs that share a scale, -1 all of them; null: the folder's own, or 128")
      .at_least(-1)
      .known_as({"groupsize"});
  s.field("head", o.head, "the head too; it stays dense otherwise, as the embedding does");
  s.field("skip_modules", o.skip_modules,
          "linear layers that stay dense, by the end of their names: [down_proj, layers.0.self_attn.q_proj]")
      .known_as({"llm_int8_skip_modules"});
}

void QuantOptions::validate() const {
  if ((block_size & (block_size - 1)) != 0) throw InvalidSetting("block_size", std::to_string(block_size), "a power of two");
  if (bits && *bits != 2 && *bits != 3 && *bits != 4 && *bits != 8) throw InvalidSetting("bits", std::to_string(*bits), "2, 3, 4 or 8");
  if (group_size == 0) throw InvalidSetting("group_size", "0", "at least 1, or -1");
}

std::string quantisation_text(const QuantOptions& options) {
  auto copy = options;
  Schema schema;
  describe(schema, copy);
  return to_flow(schema.store());
}

QuantOptions quantisation_from(const std::string& text, const std::string& who) {
  QuantOptions options;
  Schema schema;
  describe(schema, options);
  schema.check_with([&] { options.validate(); });
  schema.load(parse_yaml(text, Origin{.source = who}, false));
  return options;
}

std::string describe_quantisation(const QuantOptions& o) {
  if (o.method == "int8") return fmt::format("int8, inputs from {:g} on apart", o.threshold);
  if (o.method == "gptq") {
    const auto group = o.group_size.value_or(128);
    return fmt::format("gptq, {} bits, {}", o.bits.value_or(4), group == -1 ? "one group a row" : fmt::format("groups of {}", group));
  }
  return fmt::format("{} in blocks of {}{}", o.method, o.block_size, o.double_quant ? ", double quantised" : "");
}

}  // namespace herd
