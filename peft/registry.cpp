#include "peft/registry.h"

#include "peft/lora.h"
#include "peft/none.h"
#include "peft/peft_options.h"

namespace herd {

const Table<PeftMethod>& peft_methods() {
  static const Table<PeftMethod> table{
      "PEFT method",
      {
          {"none", {.attach = attach_none, .summary = "every parameter of the model"}},
          {"lora",
           {.attach = attach_lora,
            .peft_type = "LORA",
            .write_config = write_lora_config,
            .read_config = read_lora_config,
            .summary = "low-rank updates of linear layers (Hu et al. 2021)"}},
      }};
  return table;
}

void attach(CausalLm& model, const PeftOptions& options, std::optional<std::uint64_t> seed) {
  peft_methods().at(options.method).attach(model, options, seed);
}

}  // namespace herd
