#include "launch/run_model.h"

#include "models/grow.h"

namespace herd {
namespace {

std::string name_of(const RunVocabulary& vocabulary) { return "tokenizer " + vocabulary.folder.string(); }

// A longer model is made anew, dense, and its values are read by the old one's.
void check_dense(CausalLm& model) {
  for_each_linear(model, [](const std::string& name, Linear& linear) {
    if (linear.has_dense_weight()) return;
    throw ConfigError({.who = "a longer vocabulary",
                       .found = "a base in few bits (" + name + ")",
                       .expected = "a dense one",
                       .remedy = "herd model extend makes the dense base longer; quantise that one"});
  });
}

}  // namespace

LoadedModel with_new_rows(LoadedModel base, const RunVocabulary& vocabulary) {
  const auto& extension = vocabulary.extension;
  if (!extension) return base;
  check_dense(*base.model);
  check_vocabulary(base.model->facts, extension->old_tokens, name_of(vocabulary));
  return grow_vocabulary(std::move(base), {.first = extension->old_pieces, .means = extension->old_ids});
}

LoadedModel open_run_model(const ModelOptions& options, const RunVocabulary& vocabulary) {
  const auto tokens = vocabulary.tokenizer->vocab_size();
  auto model = open_model(options, tokens);
  if (!options.config) model = with_new_rows(std::move(model), vocabulary);
  check_vocabulary(model.model->facts, tokens, name_of(vocabulary));
  return model;
}

LoadedModel describe_run_model(const ModelOptions& options, const RunVocabulary& vocabulary) {
  auto model = describe_model(options, vocabulary.tokenizer->vocab_size());
  return options.config ? std::move(model) : with_new_rows(std::move(model), vocabulary);
}

void write_beside(HubSave& save, const RunVocabulary& vocabulary) {
  if (!vocabulary.extension) {
    const auto files = tokenizer_files(vocabulary.folder);
    save.copies.insert(save.copies.end(), files.begin(), files.end());
    return;
  }
  save.beside = [&vocabulary](const std::filesystem::path& folder) { save_extended(*vocabulary.extension, vocabulary.folder, folder); };
}

}  // namespace herd
