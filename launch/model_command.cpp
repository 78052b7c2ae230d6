#include "launch/model_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "data/tokenizer/tokenizer.h"
#include "launch/command_line.h"
#include "launch/hub_places.h"
#include "launch/model_convert.h"
#include "launch/model_extend.h"
#include "launch/model_files.h"
#include "launch/model_inspect.h"
#include "models/conversion.h"
#include "models/registry.h"
#include "runtime/base/exit_codes.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

int list() {
  for (const auto& [name, family] : families()) {
    fmt::print("{:<12}{}, tested against {}\n", name, family.architecture, family.tested_against);
    std::vector<std::string> words;
    for (const auto& [word, key] : family.words) words.push_back(word == key ? word : word + " (" + key + ")");
    fmt::print("{:<12}{}\n\n", "", join(words));
  }
  fmt::print("Conversions (herd model convert --family):\n");
  for (const auto& [name, conversion] : conversions()) fmt::print("  {} to {}: {}\n", conversion.from, conversion.to, conversion.what);
  return kExitSuccess;
}

/// What `init` is told: a recipe's model.config beside the few words of its model section that a random model needs.
struct NewModel {
  ModelOptions model;
  ModelShape shape;

  void validate() const { shape.validate(); }
};

void describe(Schema& s, NewModel& o) {
  s.field("family", o.model.family, "architecture; required").one_of(families().names()).known_as({"model_type", "type"});
  s.choice("dtype", o.model.dtype, {{"fp32", Precision::kFp32}, {"bf16", Precision::kBf16}, {"fp16", Precision::kFp16}}, "number format of the file");
  s.field("tokenizer", o.model.tokenizer, "folder or hub id of the tokenizer, copied beside the weights; gives vocab_size");
  s.field("seed", o.model.seed, "seed of the random weights").at_least(0);
  describe(s, o.shape);
}

int init(const fs::path& folder, const std::vector<std::string>& words) {
  NewModel request;
  request.model.family = "llama";
  load_config(request, recipe_and_overrides(words));
  request.model.tokenizer = hub_folder(request.model.tokenizer, HubUse::kTokenizer, "tokenizer");
  request.model.config = request.shape;
  std::unique_ptr<Tokenizer> tokenizer;
  HubSave save;
  if (!request.model.tokenizer.empty()) {
    tokenizer = load_tokenizer(request.model.tokenizer);
    save.copies = tokenizer_files(request.model.tokenizer);
    save.bos = tokenizer->bos, save.eos = tokenizer->eos, save.pad = tokenizer->pad;
  } else if (!request.shape.vocab_size) {
    throw ConfigError({.who = "vocab_size", .found = "null", .expected = "the rows of the embedding, or a tokenizer=FOLDER", .remedy = ""});
  }
  const auto random = open_model(request.model, tokenizer ? tokenizer->vocab_size() : 0);
  if (tokenizer) check_vocabulary(random.model->facts, tokenizer->vocab_size(), request.model.tokenizer);
  save.values = [&random](const Parameter& parameter, const TakePiece& take) {
    const auto whole = at::empty({parameter.value.numel()}, at::TensorOptions(parameter.value.scalar_type()));
    random.read(parameter, 0, whole);
    take(whole);
  };
  save_hub_folder(*random.model, random.config, folder, save);
  std::int64_t parameters = 0;
  for_each_parameter(*random.model, [&](const std::string&, Parameter& p) { parameters += p.value.numel(); });
  fmt::print("{}: a {} of {} random parameters (seed {})\n", folder.string(), request.model.family, with_thousands(parameters), request.model.seed);
  return kExitSuccess;
}

int convert(const ConvertRequest& request) {
  const auto report = convert_folder(request);
  fmt::print("{}: {} parameters of a {}, written as {}{}\n", request.output.string(), with_thousands(report.parameters), report.family, report.dtype,
             request.format == "meta" ? " in Meta's form" : "");
  return kExitSuccess;
}

int extend(const ExtendRequest& request) {
  const auto report = extend_folder(request);
  fmt::print("{}: {}; {} rows, written as {}\n", request.output.string(), report.vocabulary, with_thousands(report.rows), report.dtype);
  return kExitSuccess;
}

int inspect(const fs::path& folder, bool check) {
  const auto inspection = inspect_model(folder, check);
  fmt::print("{}", inspection.text);
  return inspection.good ? kExitSuccess : kExitFailure;
}

}  // namespace

int model_command(int argc, char** argv) {
  CLI::App app("Families and model folders.", "herd model");
  app.require_subcommand(1);
  int code = kExitSuccess;
  app.add_subcommand("list", "the families, the words of model.config that each takes, what each is tested against; conversions")
      ->final_callback([&] { code = list(); });

  fs::path folder;
  bool check = false;
  auto* look = app.add_subcommand("inspect", "what a folder holds, and whether herd would load it, without loading");
  look->add_option("folder", folder, "a model's folder, Hugging Face's or Meta's, or its hub id, org/name")->required();
  look->add_flag("--check", check, "read every value: checksums, NaN, infinity");
  look->footer("herd model inspect models/llama-7b --check");
  look->final_callback([&] { code = inspect(hub_folder(folder, HubUse::kModel, "herd model inspect"), check); });

  std::vector<std::string> words;
  auto* make = app.add_subcommand("init", "writes a random model as a Hugging Face folder");
  make->add_option("folder", folder, "folder to write; new or empty")->required();
  make->add_option("words", words, "a YAML file, then key=value: family, dtype, seed, tokenizer, and the words of model.config")->required();
  make->footer("herd model init tiny family=llama hidden_size=64 intermediate_size=128 num_hidden_layers=2 num_attention_heads=4 vocab_size=512");
  make->final_callback([&] { code = init(folder, words); });

  ConvertRequest request;
  auto* change = app.add_subcommand("convert", "writes a model's folder in another form, without holding it in memory");
  change->add_option("source", request.source, "a model's folder (safetensors, pytorch_model.bin, or Meta's consolidated files), or its hub id, org/name")->required();
  change->add_option("output", request.output, "folder to write; new or empty")->required();
  change->add_option("--dtype", request.dtype, "fp32, bf16 or fp16; default: as most of the weights are stored")->check(CLI::IsMember(number_formats().names()));
  change->add_option("--format", request.format, "hf: config.json and safetensors; meta: params.json and consolidated.00.pth")
      ->check(CLI::IsMember({"hf", "meta"}))->capture_default_str();
  change->add_option("--family", request.family, "as another family that computes the same: herd model list names the pairs");
  change->add_option("--shard-size", request.max_shard_bytes, "longest file: 5GB, 500MB; default 5GB")->transform(CLI::AsSizeValue(true));
  change->footer("herd model convert baichuan-7b as-llama --family llama --dtype bf16\nherd model convert Llama-2-7b/ hf-folder");
  change->final_callback([&] {
    request.source = hub_folder(request.source, HubUse::kModel, "herd model convert");
    code = convert(request);
  });

  ExtendRequest longer;
  auto* grow = app.add_subcommand(
      "extend", "writes a model with a longer vocabulary: a second SentencePiece model's new pieces, their rows begun as means");
  grow->add_option("base", longer.model, "a model's folder with the tokenizer.model of SentencePiece, or its hub id")->required();
  grow->add_option("--with", longer.with, "file of the second SentencePiece model")->required();
  grow->add_option("--output", longer.output, "folder to write; new or empty")->required();
  grow->add_option("--tokenizer", longer.tokenizer, "folder or hub id of the tokenizer; default: the base's");
  grow->add_option("--dtype", longer.dtype, "fp32, bf16 or fp16; default: as most of the weights are stored")
      ->check(CLI::IsMember(number_formats().names()));
  grow->footer("herd model extend llama-7b --with chinese_sp.model --output llama-7b-zh");
  grow->final_callback([&] {
    longer.model = hub_folder(longer.model, HubUse::kModel, "herd model extend");
    longer.tokenizer = hub_folder(longer.tokenizer, HubUse::kTokenizer, "--tokenizer");
    code = extend(longer);
  });
  if (!parse_arguments(app, argc, argv)) return kExitSuccess;
  return code;
}

}  // namespace herd
