#pragma once
#include <filesystem>
#include <memory>
#include <string>

#include "data/dataset.h"
#include "launch/run_config.h"
#include "launch/run_vocabulary.h"
#include "models/hub.h"
#include "parallel/checkpoint/manifest.h"
#include "parallel/comm/communicator.h"

namespace herd {

/// What a run works with, the same on every rank: tokenizer, examples, and the model with its PEFT method attached. The base is on the
/// meta device until a strategy reads what this rank keeps of it.
struct RunParts {
  RunVocabulary vocabulary;
  Dataset dataset;
  LoadedModel base;
  PeftOptions peft;       ///< the recipe's, or those of the adapter it goes on from
  Provenance provenance;  ///< stored with everything the run writes

  CausalLm& model() const { return *base.model; }
};

/// Reads and builds all of it. @param threads of this rank.
/// @throws ConfigError where the parts do not fit each other (vocabulary, context length), and what each of them and `listener` throw.
RunParts load_parts(const RunConfig& config, int threads, const LoadListener& listener = {});

/// How a recipe's examples become the rows of steps.
SamplerOptions sample_order(const RunConfig& config);

/// @throws ConfigError where data.max_tokens is more than the model can look at.
void check_context(const RunConfig& config, const CausalLm& model);

/// Whether a strategy's whole model is written from the checkpoint just saved, in place of being gathered: no rank has to hold it whole.
bool streams_result(const RunConfig& config);

/// @throws DataError on all ranks where one has another model, data or initial weights than rank 0.
void check_same_parts(const RunParts& parts, Communicator& communicator);

/// "1,838,080 parameters, all of them trained" or "…, 24,576 (1.3 %) of them trained".
std::string describe_parameters(CausalLm& model);

/// "lora, r 16, alpha 32, on q_proj, v_proj": the shape that an adapter folder gave the run, whatever the recipe says of it.
std::string describe_adapter(const PeftOptions& options);

/// Whether the result is an adapter; else it is the whole model.
bool makes_adapter(const PeftOptions& options);
inline bool makes_adapter(const RunParts& parts) { return makes_adapter(parts.peft); }

/// What tells a base from others: its fingerprint, and how its matrices are kept. Empty where the fingerprint is.
std::string base_identity(const std::string& fingerprint, const std::optional<QuantOptions>& quantization);

/// What a checkpoint of this run belongs to.
Fingerprints fingerprints(const RunParts& parts, const RunConfig& config);

/// Writes what is trained as a folder that Hugging Face's libraries read: the adapter, or the model where the method makes none.
/// Takes the place of what was there in one step. @param rule_state TrainState::rule. @param values of the parameters, where they are not in the
/// model's own memory. @throws IoError.
void write_result(const RunParts& parts, const RunConfig& config, const std::filesystem::path& folder, const std::string& rule_state,
                  const ParameterValues& values = {});

}  // namespace herd
