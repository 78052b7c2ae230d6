#pragma once
#include <optional>
#include <string>
#include <vector>

#include "infer/engine.h"
#include "infer/prompt_file.h"
#include "models/model_options.h"
#include "runtime/nn/quantise_options.h"

namespace CLI {
class App;
}

namespace herd {

/// One of `--adapter`: a folder or hub id, and the name to choose it by; a single one may be without and answers everything.
struct NamedAdapter {
  std::string name, folder;
};

/// The command line of `herd generate`.
struct GenerateOptions {
  std::string model, tokenizer;                // folders or hub ids; the model's tokenizer where empty
  std::vector<std::string> adapter_arguments;  // as they stand there: DIR, or NAME=DIR
  std::vector<NamedAdapter> adapters;          // the same, understood by validate()
  std::string use;                             // the adapter of prompts that name none; empty: none
  bool force_base = false;
  std::optional<std::string> prompt, instruction;
  std::string input, file, output;
  std::string template_name;
  bool raw = false;
  Precision dtype = Precision::kFp32;
  std::string quantization;  // a storage's name; empty: dense
  int threads = 0;
  std::vector<std::string> bad_words;    // what may not be written; ids once a tokenizer is there
  std::vector<std::string> logit_biases; // as they stand there, ID=VALUE; understood by validate()
  GenerationOptions generation;
  EngineOptions engine;

  const std::string& tokenizer_folder() const { return tokenizer.empty() ? model : tokenizer; }
  /// Where training left its herd.json: beside the weights that it wrote. @param adapter none: the model's.
  const std::string& trained_folder(std::optional<std::size_t> adapter) const { return adapter ? adapters[*adapter].folder : model; }
  std::optional<QuantOptions> storage() const { return quantization.empty() ? std::nullopt : std::optional(QuantOptions{.method = quantization}); }

  /// @throws ConfigError.
  void validate();
};

void declare(CLI::App& app, GenerateOptions& options);

/// Which adapter answers each question: what its record says, else `use`, else an adapter without a name; none: the base.
/// @throws DataError with the record's place, or ConfigError for --use, where there is none of that name: with those there are, and the nearest.
std::vector<std::optional<std::size_t>> chosen_adapters(const std::vector<Question>& questions, const GenerateOptions& options);

}  // namespace herd
