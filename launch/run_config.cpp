#include "launch/run_config.h"

#include "launch/run_adapter.h"
#include "parallel/strategy.h"
#include "peft/registry.h"
#include "runtime/base/file.h"

namespace herd {

void describe(Schema& s, RunConfig& o) {
  s.section("model", o.model, "which model, in which numbers, on which device");
  s.section("peft", o.peft, "what is trained of it");
  s.section("data", o.data, "which records, and how they become rows");
  s.section("train", o.train, "how long, how fast, in which batches");
  s.section("parallel", o.parallel, "how the work is spread over ranks");
  s.section("checkpoint", o.checkpoint, "when the run is saved, and where it goes on from");
  s.section("run", o.run, "where the run writes and how much it tells");
  s.alias("resume", "checkpoint.resume");
}

void RunConfig::validate() const {
  if (data.streaming && train.max_steps == 0)
    throw InvalidSetting("train.max_steps", "0", "a number of steps beside data.streaming: only reading all data would tell how many an epoch has", "train.max_steps=1000");
  if (train.patience > 0 && data.held_out == 0)
    throw InvalidSetting(
        "train.patience", std::to_string(train.patience), "0 where no records are held out", "data.held_out=0.05 holds some out");
  if (train.evaluate_first && data.held_out == 0)
    throw InvalidSetting("train.evaluate_first", "true", "false where no records are held out", "data.held_out=0.05 holds some out");
  if (model.config && peft.method != "none" && !peft.adapter.empty())
    throw InvalidSetting("peft.adapter", "'" + peft.adapter + "'", "empty where model.config builds a model from random weights");
  if (!model.extend_vocab.empty() && !peft_methods().at(peft.method).peft_type.empty())
    throw InvalidSetting("model.extend_vocab", "'" + model.extend_vocab + "'",
                         "empty where peft makes an adapter, which belongs on the base model's folder: that has no rows for the new pieces",
                         "write the longer base first: herd model extend " + (model.path.empty() ? "BASE" : model.path) + " --with " +
                             model.extend_vocab + " --output DIR; then model.path=DIR model.extend_vocab=\"\"");
  if (model.quantization && peft.adapter.empty() && peft_methods().at(peft.method).peft_type.empty())
    throw InvalidSetting("model.quantization", model.quantization->method, "null where the method trains the whole model: peft.method is " + peft.method,
                         "peft.method=lora trains an adapter on the quantised base; model.quantization=null trains the model");
  if (parallel.offload == Offload::kParameters && !strategies().at(parallel.strategy).parameters)
    throw InvalidSetting("parallel.offload", "parameters", "none or optimizer where parallel.strategy is " + parallel.strategy,
                         "parallel.strategy=zero3, or hsdp, on one rank as well");
  if (const auto device = device_of_backend(parallel.backend); !device.empty() && device != model.device)
    throw InvalidSetting("parallel.backend", "'" + parallel.backend + "', which is for model.device=" + device,
                         "auto, or a backend for model.device=" + model.device);
}

void ResolvedRun::require_trainable() const {
  const auto missing = [&](const std::string& key, const std::string& expected) {
    return ConfigError({.who = tree.at_path(key)->origin.place(),
                        .found = "'" + key + "' is empty",
                        .expected = expected,
                        .remedy = "(herd config --explain " + key + ")"});
  };
  if (config.model.path.empty() && !config.model.config) throw missing("model.path", "a Hugging Face folder, or sizes in model.config");
  if (config.model.path.empty() && config.model.tokenizer.empty())
    throw missing("model.tokenizer", "a tokenizer's folder beside model.config");
  if (config.data.sets.empty()) throw missing("data.sets", "at least one file of records");
}

void ResolvedRun::save(const std::filesystem::path& file) const { write_file_atomically(file, to_yaml(tree, true)); }

namespace {

// A key that the chosen method does not read would be lost without a word. What a file merely spells out as it is by default, or a preset
// says that was made for another method, is none of this run's wishes.
void refuse_unread(const ResolvedRun& run) {
  const auto& method = peft_methods().at(run.config.peft.method);
  PeftOptions defaults;
  Schema schema;
  describe(schema, defaults);
  const auto unset = schema.store();
  for (const auto& value : run.tree.find("peft")->items) {
    if (value.key == "method" || method.reads(value.key) || !is_own(value.origin)) continue;
    if (to_flow(value) == to_flow(*unset.find(value.key))) continue;
    throw ConfigError({.who = value.origin.place(),
                       .found = "peft." + value.key + "=" + to_flow(value) + " where peft.method is " + run.config.peft.method,
                       .expected = method.keys.empty() ? "no key beside peft.method" : "a key that it reads: " + join(method.keys),
                       .remedy = "peft." + value.key + " is read by " + join(readers_of(value.key))});
  }
}

// @param gather makes the recipe's tree of the schema's short forms.
ResolvedRun resolved(const auto& gather) {
  ResolvedRun run;
  Schema schema;
  describe(schema, run.config);
  schema.check_with([&run] { run.config.validate(); });
  schema.load(gather(schema.aliases()));
  run.tree = schema.store();
  refuse_unread(run);
  return run;
}

}  // namespace

ResolvedRun resolve_run(const ConfigSources& sources) {
  return resolved([&](const auto& aliases) { return gather_config(sources, aliases); });
}

ResolvedRun resolve_tree(const ConfigNode& tree) {
  return resolved([&](const auto&) { return tree; });
}

}  // namespace herd
