#pragma once
#include <optional>
#include <string>
#include <vector>

#include "models/model_options.h"
#include "runtime/base/error.h"
#include "runtime/nn/quantise_options.h"

namespace CLI {
class App;
}

namespace herd {

/// One of `--adapter`: a folder or hub id, and the name to choose it by; a single one may be without and answers everything.
struct NamedAdapter {
  std::string name, folder;
};

/// Whose answers are wanted: what every command that lets a model speak is told of it.
struct SpeakerOptions {
  std::string model, tokenizer;                // folders or hub ids; the model's tokenizer where empty
  std::vector<std::string> adapter_arguments;  // as they stand there: DIR, or NAME=DIR
  std::vector<NamedAdapter> adapters{};        // the same, understood by validate()
  bool force_base = false;
  std::string template_name;
  Precision dtype = Precision::kFp32;
  std::string device = "cpu";
  std::string quantization;  // a storage's name; empty: dense
  int threads = 0;
  std::string kv_cache = "dtype";

  const std::string& tokenizer_folder() const { return tokenizer.empty() ? model : tokenizer; }
  /// Where training left its herd.json: beside the weights that it wrote. @param adapter none: the model's.
  const std::string& trained_folder(std::optional<std::size_t> adapter) const { return adapter ? adapters[*adapter].folder : model; }
  std::optional<QuantOptions> storage() const { return quantization.empty() ? std::nullopt : std::optional(QuantOptions{.method = quantization}); }
  /// What each adapter is called: its name, or as called() has it.
  std::vector<std::string> adapter_names() const;
  /// The adapter without a name, which answers what names none.
  std::optional<std::size_t> unnamed_adapter() const;
  /// @param name as adapter_names has it; or the folder of the adapter without a name, as it was given.
  std::optional<std::size_t> find_adapter(const std::string& name) const;
  /// What `--use` names, else the adapter without a name; none: the base alone. @throws ConfigError for an unknown name.
  std::optional<std::size_t> used_adapter(const std::string& use) const;
  /// What to say where there is none of that name: those there are, and the nearest.
  Complaint no_adapter(const std::string& who, const std::string& name) const;

  /// @throws ConfigError.
  void validate();
};

void declare(CLI::App& app, SpeakerOptions& options);

/// What a model or adapter is called that was given no name: as its folder (`runs/first/adapter/` → `adapter`), or its hub id.
std::string called(const std::string& folder_or_id);

}  // namespace herd
