#include "launch/model_inspect.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "data/tokenizer/tokenizer.h"
#include "launch/model_files.h"
#include "models/meta_folder.h"
#include "models/registry.h"
#include "runtime/base/text.h"
#include "runtime/tensor/dtype.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

class Inspector {
 public:
  Inspector(const fs::path& folder, bool check)
      : folder_(folder), check_(check), config_(read_hub_config(folder)), weights_(std::make_shared<const Weights>(open_hub_weights(folder))) {}

  Inspection run() {
    line("folder", folder_.string());
    try {
      model_ = make_model_from(config_);
      line("family", fmt::format("{} ({})", model_->facts.family, architecture_of(nlohmann::json::parse(config_))));
    } catch (const ConfigError& error) {
      bad("family", error.what());
    }
    weights();
    if (model_) parameters();
    tokenizer();
    if (model_) fit();
    if (check_) values();
    if (!out_.good) out_.text += "\nherd would not load it\n";
    return std::move(out_);
  }

 private:
  void line(std::string_view name, std::string_view text) { out_.text += fmt::format("{:<12}{}\n", name, text); }
  void bad(std::string_view name, std::string_view text) {
    line(name, text);
    out_.good = false;
  }

  void weights() {
    const auto files = weights_->files().size();
    const auto where = files == 0   ? std::string("Meta's consolidated files")
                       : files == 1 ? weights_->files().front().path().filename().string()
                                    : plural(static_cast<std::int64_t>(files), "shard") + " like " + weights_->files().front().path().filename().string();
    std::map<std::string, std::pair<std::int64_t, std::uint64_t>> formats;
    for (const auto& name : weights_->names()) {
      auto& [count, bytes] = formats[std::string(dtype_name(weights_->info(name).dtype))];
      ++count, bytes += weights_->info(name).bytes;
    }
    std::vector<std::string> parts;
    for (const auto& [dtype, of] : formats) parts.push_back(fmt::format("{} {} ({})", plural(of.first, "tensor"), dtype, human_bytes(of.second)));
    line("weights", where + ": " + join(parts));
  }

  /// `self_attn`, `mlp`, … within a block, `model.embed_tokens` outside.
  std::string kind_of(const std::string& name) const {
    for (std::size_t i = 0; i < model_->blocks.size(); ++i)
      if (const auto block = model_->block_name(i) + "."; name.starts_with(block)) {
        const auto part = name.substr(block.size());
        return fmt::format("{} × {}", part.substr(0, part.find('.')), model_->blocks.size());
      }
    return name.substr(0, name.rfind('.'));
  }

  void parameters() {
    std::vector<std::pair<std::string, std::int64_t>> kinds;
    std::int64_t total = 0;
    for_each_parameter(*model_, [&](const std::string& name, Parameter& p) {
      const auto kind = kind_of(name);
      auto found = std::find_if(kinds.begin(), kinds.end(), [&](const auto& k) { return k.first == kind; });
      if (found == kinds.end()) found = kinds.insert(kinds.end(), {kind, 0});
      found->second += p.value.numel();
      total += p.value.numel();
    });
    line("parameters", fmt::format("{}: {} in fp32, {} in bf16 or fp16", with_thousands(total), human_bytes(static_cast<std::uint64_t>(4 * total)),
                                   human_bytes(static_cast<std::uint64_t>(2 * total))));
    for (const auto& [kind, count] : kinds)
      out_.text += fmt::format("{:<12}  {:<36}{:>16}  {:5.1f} %\n", "", kind, with_thousands(count), 100.0 * static_cast<double>(count) / static_cast<double>(total));
  }

  void tokenizer() {
    try {
      const auto tokenizer = load_tokenizer(folder_);
      const auto id = [](const std::optional<TokenId>& token) { return token ? std::to_string(*token) : "none"; };
      line("tokenizer", fmt::format("{} tokens, bos {}, eos {}, pad {}", with_thousands(tokenizer->vocab_size()), id(tokenizer->bos), id(tokenizer->eos), id(tokenizer->pad)));
      if (model_) check_vocabulary(model_->facts, tokenizer->vocab_size(), "its tokenizer");
    } catch (const DataError& error) {
      line("tokenizer", std::string("none that can be read (model.tokenizer names another folder): ") + error.what());
    } catch (const ConfigError& error) {
      bad("", error.what());
    }
  }

  void fit() {
    std::optional<GptqConfig> gptq;
    auto stored = weights_;
    try {
      stored = keep_as_stored(*model_, config_, weights_, folder_.string(), gptq);
    } catch (const Error& error) {
      return bad("does not fit", error.what());
    }
    if (gptq) line("layers", describe_quantisation(as_options(*gptq)));
    const auto matched = match(*model_, *stored);
    if (!matched.ignored.empty()) line("left out", fmt::format("{} that herd computes itself, like {}", plural(static_cast<std::int64_t>(matched.ignored.size()), "buffer"), matched.ignored.front()));
    if (const auto problems = matched.problems(); !problems.empty()) bad("does not fit", problems);
    else line("fits", "every tensor that config.json describes is there, in its shape");
    try {
      check_tied(*model_, *stored, folder_.string());
    } catch (const IoError& error) {
      bad("head", error.complaint().found + "; expected " + error.complaint().expected + ": " + error.complaint().remedy);
    }
  }

  void values() {
    for (const auto& file : weights_->files()) verify(file);
    for (const auto& entry : fs::directory_iterator(folder_))
      if (weights_->files().empty() && entry.path().extension() == ".pth") verify(open_weight_file(entry.path()));
    std::int64_t broken = 0;
    for (const auto& name : weights_->names()) {
      try {
        check_finite(name, weights_->view(name));
      } catch (const IoError& error) {
        ++broken;
        bad("values", error.complaint().who + ": " + error.complaint().found);
      }
    }
    if (broken == 0) line("values", "all are finite numbers");
  }
  void verify(const WeightFile& file) {
    try {
      file.verify();
    } catch (const IoError& error) {
      bad("checksums", error.what());
    }
  }

  const fs::path& folder_;
  bool check_;
  std::string config_;
  std::shared_ptr<const Weights> weights_;
  std::unique_ptr<CausalLm> model_;
  Inspection out_;
};

}  // namespace

Inspection inspect_model(const fs::path& folder, bool check) { return Inspector(folder, check).run(); }

}  // namespace herd
