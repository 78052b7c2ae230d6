#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string_view>

#include "data/template/encode.h"
#include "infer/engine.h"
#include "infer/prompt.h"
#include "launch/speaker_options.h"
#include "models/hub.h"
#include "peft/adapters.h"

namespace herd {

/// A model that answers: its weights, tokenizer and adapters, and the words in which each was taught to be asked.
class Speaker {
 public:
  /// Finds the folders, the hub's too, and reads the tokenizer; nothing of the weights yet, so that what is asked can be found wrong first.
  /// @throws ConfigError, DataError where they do not fit each other.
  explicit Speaker(SpeakerOptions options);
  /// Reads weights and adapters.
  void load();

  const SpeakerOptions& options() const { return options_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  /// The one asked for, else of the training of an adapter or, without one, of the model. @throws ConfigError where neither names one.
  /// As in all of these, @throws DataError where the training was with another tokenizer.
  const Template& template_of(std::optional<std::size_t> adapter);
  /// A record as training put it; the answer to its last question is not read. @param raw leaves what the template puts around an answer.
  Prompt prompt(const Record& record, std::optional<std::size_t> adapter, bool raw = false);
  /// Text as it is.
  Prompt prompt(std::string_view text, std::optional<std::size_t> adapter);

  // After load().
  CausalLm& model() { return *loaded_.model; }
  const std::string& fingerprint() const { return loaded_.fingerprint; }  ///< the model's, without adapters
  void use(std::optional<std::size_t> adapter) { adapters_->use(adapter); }
  std::unique_ptr<Engine> engine(const EngineOptions& options);

 private:
  const std::optional<Provenance>& training_of(std::optional<std::size_t> adapter);

  SpeakerOptions options_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<PieceEncoder> encoder_;
  std::map<std::optional<std::size_t>, std::optional<Provenance>> trainings_;
  std::map<std::optional<std::size_t>, std::shared_ptr<const Template>> templates_;
  LoadedModel loaded_;
  std::unique_ptr<Adapters> adapters_;
};

}  // namespace herd
