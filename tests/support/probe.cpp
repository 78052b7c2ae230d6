// What a model makes of given ids, for comparison with other implementations. Arguments are key=value:
//   model=FOLDER             a Hugging Face folder
//   dtype=fp32|bf16|fp16     of its parameters and arithmetic (fp32)
//   device=cpu|cuda          where it computes; cuda needs herd's CUDA module beside the program
//   in=FILE                  safetensors of int64: tokens [b, t]; labels [b, t] where a loss is wanted (as Batch::labels_bt);
//                            segments [n, 3] of (row, begin, end) where rows are packed or padded (whole rows)
//   out=FILE                 safetensors: logits [b, t, vocab] in fp32 and, with labels, loss [1] (fp64, mean over the supervised tokens)
//                            and grad.NAME of every parameter that got one
//   recompute=1              blocks run again before their backward
//   greedy=N                 no loss; out also gets greedy [N]: the likeliest ids after the first row, one at a time, without a cache
//   save=FOLDER              writes the loaded model as a Hugging Face folder
//   shard_bytes=N            of the saved folder's files
//   adapter=FOLDER           PEFT adapter to attach; gradients are then of what it trains, as grad.NAME in adapter_model.safetensors
//   new_adapter=FOLDER       a new adapter by this folder's adapter_config.json, both factors random
//   init=pissa|olora         begins it from the base's weights instead
//   values=1                 out also gets value.NAME of what is trained
//   save_adapter=FOLDER      writes the attached adapter as a PEFT folder
#include <cstdio>
#include <map>
#include <string>

#include "models/hub.h"
#include "parallel/comm/cuda_module.h"
#include "parallel/pass.h"
#include "peft/adapter_io.h"
#include "peft/registry.h"
#include "peft/select.h"
#include "runtime/nn/on_device.h"

namespace {

using namespace herd;
using Arguments = std::map<std::string, std::string>;

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string text = argv[i];
    const auto cut = text.find('=');
    if (cut == std::string::npos) throw ConfigError({.who = "probe", .found = "'" + text + "'", .expected = "key=value"});
    arguments[text.substr(0, cut)] = text.substr(cut + 1);
  }
  return arguments;
}

at::ScalarType dtype_of(const std::string& name) {
  if (name == "bf16") return at::kBFloat16;
  return name == "fp16" ? at::kHalf : at::kFloat;
}

Batch read_batch(const std::string& path) {
  const SafetensorsFile file(path);
  Batch batch;
  batch.tokens_bt = file.view("tokens").clone();
  const auto b = batch.rows(), t = batch.length();
  batch.labels_bt = file.contains("labels") ? file.view("labels").clone() : at::full({b, t}, kIgnoreLabel, at::kLong);
  batch.supervised_tokens = batch.labels_bt.ne(kIgnoreLabel).sum().item<std::int64_t>();
  batch.positions_bt = at::zeros({b, t}, at::kLong);
  for (std::int64_t row = 0; row < b; ++row) batch.row_ids.push_back(row);
  if (file.contains("segments")) {
    const auto segments = file.view("segments").contiguous();
    for (std::int64_t i = 0; i < segments.size(0); ++i) {
      const auto* s = segments.data_ptr<std::int64_t>() + 3 * i;
      batch.segments.push_back({s[0], s[1], s[2]});
    }
  } else {
    for (std::int64_t row = 0; row < b; ++row) batch.segments.push_back({row, 0, t});
  }
  for (const auto& s : batch.segments) batch.positions_bt[s.row].narrow(0, s.begin, s.length()).copy_(at::arange(s.length(), at::kLong));
  return batch;
}

std::vector<std::int64_t> greedy(CausalLm& model, const Tensor& prompt, std::int64_t count) {
  std::vector<std::int64_t> ids(prompt.const_data_ptr<std::int64_t>(), prompt.const_data_ptr<std::int64_t>() + prompt.numel()), added;
  for (; count > 0; --count) {
    added.push_back(model.logits(plain_batch({ids}))[0].select(0, -1).argmax().item<std::int64_t>());
    ids.push_back(added.back());
  }
  return added;
}

NamedTensors answers(CausalLm& model, const Batch& batch, Arguments& arguments) {
  NamedTensors out;
  {
    at::NoGradGuard no_grad;
    out.emplace_back("logits", model.logits(batch).to(at::kFloat).cpu());
    if (arguments["hidden"] == "1") out.emplace_back("hidden", model.final_norm(model.hidden(batch)).to(at::kFloat).cpu());
    if (const auto count = arguments["greedy"]; !count.empty())
      out.emplace_back("greedy", at::tensor(greedy(model, batch.tokens_bt[0], std::stoll(count)), at::kLong));
  }
  if (arguments["values"] == "1")
    for (const auto* p : trained_parameters(model)) out.emplace_back("value." + p->name, p->value.detach().cpu());
  if (batch.supervised_tokens == 0) return out;
  const auto tokens = static_cast<double>(batch.supervised_tokens);
  const auto loss = Pass(model, arguments["recompute"] == "1").forward_backward(batch, 1 / tokens);
  out.emplace_back("loss", at::full({1}, loss.sum / tokens, at::kDouble));
  for_each_parameter(model, [&](const std::string& name, Parameter& p) {
    if (p.value.grad().defined()) out.emplace_back("grad." + (p.name.empty() ? name : p.name), p.value.grad().cpu());
  });
  return out;
}

void adapt(LoadedModel& loaded, Arguments& arguments) {
  if (!arguments.contains("adapter") && !arguments.contains("new_adapter")) return;
  PeftOptions options;
  if (arguments.contains("adapter")) {
    options = attach_adapter(*loaded.model, arguments["adapter"], {arguments["model"], loaded.fingerprint});
  } else {
    options = read_adapter_options(arguments["new_adapter"]);
    options.init = arguments["init"] == "pissa" ? AdapterInit::kPissa : arguments["init"] == "olora" ? AdapterInit::kOlora : AdapterInit::kRandom;
    options = attach(*loaded.model, options, 3);
  }
  if (arguments.contains("save_adapter"))
    save_adapter(*loaded.model, options, arguments["model"], {.base_fingerprint = loaded.fingerprint}, arguments["save_adapter"]);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    auto arguments = parse(argc, argv);
    const auto family = arguments.contains("family") ? arguments["family"] : "auto";
    auto loaded = load_hub_folder(arguments.at("model"), dtype_of(arguments["dtype"]), family);
    if (arguments.contains("save")) {
      HubSave save;
      if (arguments.contains("shard_bytes")) save.max_shard_bytes = std::stoull(arguments["shard_bytes"]);
      save_hub_folder(*loaded.model, loaded.config, arguments["save"], save);
    }
    adapt(loaded, arguments);
    if (arguments["device"] == "cuda") cuda_module();  // and with it libtorch's part
    const at::Device device = arguments["device"] == "cuda" ? at::kCUDA : at::kCPU;
    fill(*loaded.model, {}, device);
    if (arguments.contains("in"))
      write_safetensors(arguments.at("out"), answers(*loaded.model, on_device(read_batch(arguments["in"]), device), arguments));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
