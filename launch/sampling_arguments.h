#pragma once
#include <string>
#include <vector>

#include "data/template/encode.h"
#include "infer/request.h"

namespace CLI {
class App;
}

namespace herd {

/// How an answer goes on, as a command line says it.
struct SamplingArguments {
  GenerationOptions generation;
  std::vector<std::string> bad_words{};     // what may not be written; ids once a tokenizer is there
  std::vector<std::string> logit_biases{};  // as they stand there, ID=VALUE; understood by validate()

  /// @throws ConfigError.
  void validate();
  /// With the ids of bad words. @throws ConfigError for one that the tokenizer has no ids for.
  GenerationOptions in(const PieceEncoder& encoder) const;
};

void declare(CLI::App& app, SamplingArguments& arguments);

}  // namespace herd
