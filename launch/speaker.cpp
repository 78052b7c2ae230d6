#include "launch/speaker.h"

#include <ATen/Parallel.h>

#include <filesystem>

#include "launch/hub_places.h"
#include "parallel/comm/agree.h"
#include "parallel/comm/communicator.h"
#include "parallel/comm/nccl.h"
#include "peft/adapter_io.h"
#include "runtime/net/hub_cache.h"

namespace herd {
namespace {

// The slips that a run's folder invites.
void check_model_folder(const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  if (fs::exists(folder / "config.json")) return;
  const bool adapter = fs::exists(folder / "adapter_config.json"), run = fs::exists(folder / "checkpoints");
  if (!adapter && !run) return;  // what is missing is told by who looks for it
  throw ConfigError({.who = "--model " + folder.string(),
                     .found = adapter ? "an adapter" : "a run's folder",
                     .expected = "a model's folder",
                     .remedy = adapter ? "--model BASE --adapter " + folder.string()
                               : fs::exists(folder / "adapter") ? "--model BASE --adapter " + (folder / "adapter").string()
                                                                : "--model " + (folder / "model").string()});
}

}  // namespace

void use_device(const SpeakerOptions& options, std::unique_ptr<Communicator>& ranks) {
  if (options.device == "cuda") use_gpus(ranks);
}

Speaker::Speaker(SpeakerOptions options) : options_(std::move(options)) {
  if (options_.threads > 0) at::set_num_threads(options_.threads);
  options_.model = hub_folder(options_.model, HubUse::kModel, "--model");
  for (auto& adapter : options_.adapters) adapter.folder = hub_folder(adapter.folder, HubUse::kAdapter, "--adapter");
  options_.tokenizer = hub_folder(options_.tokenizer, HubUse::kTokenizer, "--tokenizer");
  check_model_folder(options_.model);
  for (const auto& adapter : options_.adapters) read_adapter_options(adapter.folder);  // that it is one is told before what it lacks
  tokenizer_ = load_tokenizer(options_.tokenizer_folder());
  encoder_ = std::make_unique<PieceEncoder>(*tokenizer_);
}

const Template& Speaker::template_of(std::optional<std::size_t> adapter) {
  auto& chosen = templates_[adapter];
  if (!chosen) chosen = choose_template(options_.template_name, *tokenizer_, training_of(adapter), options_.trained_folder(adapter));
  return *chosen;
}

const std::optional<Provenance>& Speaker::training_of(std::optional<std::size_t> adapter) {
  if (const auto known = trainings_.find(adapter); known != trainings_.end()) return known->second;
  const auto& where = options_.trained_folder(adapter);
  auto training = read_provenance(where);
  check_tokenizer(*tokenizer_, training, where);
  return trainings_[adapter] = std::move(training);
}

Prompt Speaker::prompt(const Record& record, std::optional<std::size_t> adapter, bool raw) {
  return instruction_prompt(*tokenizer_, *encoder_, template_of(adapter), record, raw);
}

Prompt Speaker::prompt(std::string_view text, std::optional<std::size_t> adapter) {
  training_of(adapter);  // its tokenizer is this one
  return text_prompt(*tokenizer_, text);
}

void Speaker::load() {
  alone_ = make_self_communicator();
  use_device(options_, alone_);
  load(*alone_);
}

void Speaker::load(const Communicator& ranks) {
  device_ = ranks.devices().front();
  loaded_ = load_hub_folder(options_.model, scalar_type(options_.dtype), "auto", options_.storage());
  check_vocabulary(loaded_.model->facts, tokenizer_->vocab_size(), options_.tokenizer_folder());
  adapters_ = std::make_unique<Adapters>(*loaded_.model);
  for (const auto& [name, folder] : options_.adapters)
    adapters_->add(name, folder, {hub_name(options_.model), options_.force_base ? "" : loaded_.fingerprint});
  move_to_device();
}

// With what each adapter puts there, and without.
void Speaker::move_to_device() {
  if (device_.is_cpu()) return;
  for (std::size_t adapter = 0; adapter < options_.adapters.size(); ++adapter) {
    use(adapter);
    fill(*loaded_.model, {}, device_);
  }
  use(std::nullopt);
  fill(*loaded_.model, {}, device_);
}

void Speaker::load_shared(Communicator& communicator, std::optional<std::size_t> adapter) {
  device_ = communicator.devices().front();
  ranks_ = communicator.split(0, communicator.rank());
  agree(communicator, [&] {
    if (!options_.quantization.empty())
      throw ConfigError({.who = "--shared", .found = "--quantization " + options_.quantization, .expected = "weights as their folder keeps them", .remedy = "leave one of them out"});
    loaded_ = open_hub_folder(options_.model, scalar_type(options_.dtype));
    check_vocabulary(loaded_.model->facts, tokenizer_->vocab_size(), options_.tokenizer_folder());
    if (adapter) attach_adapter(*loaded_.model, options_.adapters[*adapter].folder, {hub_name(options_.model), options_.force_base ? "" : loaded_.fingerprint, loaded_.read});
    for_each_parameter(*loaded_.model, [](const std::string&, Parameter& p) { p.trainable = false, p.value.set_requires_grad(false); });
  });
  strategy_ = strategies().at("zero3").make({.model = *loaded_.model, .communicator = *ranks_, .options = {}, .read = loaded_.read});
  shared_ = std::make_unique<SharedModel>(*strategy_, *ranks_);
}

std::unique_ptr<Engine> Speaker::engine(EngineOptions options) {
  options.device = device_;
  options.int8_kv = options_.kv_cache == "int8";
  if (shared_)
    return std::make_unique<Engine>(*loaded_.model, *tokenizer_, end_tokens(*tokenizer_, options_.model), options, nullptr,
                                    [this](const Batch& batch, KvCache& cache) { return shared_->next_logits(batch, cache); });
  return std::make_unique<Engine>(*loaded_.model, *tokenizer_, end_tokens(*tokenizer_, options_.model), options,
                                  [this](std::optional<std::size_t> adapter) { use(adapter); });
}

}  // namespace herd
