#pragma once
#include "launch/run_vocabulary.h"
#include "models/hub.h"

namespace herd {

/// A folder's model with rows for the new pieces of a vocabulary (models/grow.h); as it is where there are none.
/// @throws ConfigError where the vocabulary before the extension is not the model's.
LoadedModel with_new_rows(LoadedModel base, const RunVocabulary& vocabulary);

/// open_model with those rows, and checked against the vocabulary. Random weights (model.config) have them among their own.
LoadedModel open_run_model(const ModelOptions& options, const RunVocabulary& vocabulary);

/// describe_model with those rows.
LoadedModel describe_run_model(const ModelOptions& options, const RunVocabulary& vocabulary);

/// Has the tokenizer's files put beside a model's weights. @param vocabulary outlives the save.
void write_beside(HubSave& save, const RunVocabulary& vocabulary);

}  // namespace herd
