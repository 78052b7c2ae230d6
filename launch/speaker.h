#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string_view>

#include "data/template/encode.h"
#include "infer/engine.h"
#include "infer/prompt.h"
#include "infer/shared_model.h"
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
  /// Reads weights and adapters, for a process alone. @throws ConfigError where --device is a GPU and there is none.
  void load();
  /// The same for one of several ranks, which have their devices.
  void load(const Communicator& ranks);
  /// Reads this rank's part of the weights (zero3): the ranks answer together, see SharedModel. All of them call it. @param adapter in place, for good.
  /// @throws ConfigError for weights in few bits that are not the folder's own.
  void load_shared(Communicator& communicator, std::optional<std::size_t> adapter);

  const SpeakerOptions& options() const { return options_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  /// Of the tokenizer; may be asked from several threads.
  const PieceEncoder& encoder() const { return *encoder_; }
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
  /// Not where ranks share the model.
  void use(std::optional<std::size_t> adapter) { adapters_->use(adapter); }
  SharedModel* shared() { return shared_.get(); }
  std::unique_ptr<Engine> engine(EngineOptions options);

 private:
  const std::optional<Provenance>& training_of(std::optional<std::size_t> adapter);
  void move_to_device();

  SpeakerOptions options_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<PieceEncoder> encoder_;
  std::map<std::optional<std::size_t>, std::optional<Provenance>> trainings_;
  std::map<std::optional<std::size_t>, std::shared_ptr<const Template>> templates_;
  LoadedModel loaded_;
  std::unique_ptr<Adapters> adapters_;
  std::unique_ptr<Communicator> alone_;  // holds the GPU of a process alone
  at::Device device_ = at::kCPU;
  std::unique_ptr<Communicator> ranks_;  // of the passes: apart from what the caller's own says meanwhile
  std::unique_ptr<Strategy> strategy_;
  std::unique_ptr<SharedModel> shared_;
};

/// Gives each rank a GPU where the options ask for one (use_gpus). All ranks call it.
void use_device(const SpeakerOptions& options, std::unique_ptr<Communicator>& ranks);

}  // namespace herd
