#include "launch/model_extend.h"

#include <nlohmann/json.hpp>

#include "launch/model_files.h"
#include "launch/run_model.h"
#include "models/hub_code.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

// What is known of the model's training holds for the longer one, but for its tokenizer.
std::optional<Provenance> provenance_of(const fs::path& model, const Tokenizer& tokenizer) {
  auto provenance = read_provenance(model);
  if (provenance && !provenance->tokenizer_fingerprint.empty()) provenance->tokenizer_fingerprint = tokenizer.fingerprint;
  return provenance;
}

}  // namespace

ExtendReport extend_folder(const ExtendRequest& request) {
  const auto vocabulary = load_vocabulary(request.tokenizer.empty() ? request.model : request.tokenizer, request.with);
  const auto dtype = request.dtype.empty() ? stored_format(open_hub_weights(request.model)) : number_formats().at(request.dtype);
  const auto loaded = with_new_rows(open_hub_folder(request.model, dtype), vocabulary);
  HubSave save{.provenance = provenance_of(request.model, *vocabulary.tokenizer), .values = stored_values(loaded)};
  if (const auto generation = request.model / "generation_config.json"; fs::exists(generation)) save.copies.push_back(generation);
  const auto code = code_files(request.model, nlohmann::json::parse(loaded.config));
  save.copies.insert(save.copies.end(), code.begin(), code.end());
  write_beside(save, vocabulary);
  save_hub_folder(*loaded.model, loaded.config, request.output, save);
  return {.vocabulary = vocabulary.summary(), .dtype = format_name(dtype), .rows = loaded.model->facts.vocab_size};
}

}  // namespace herd
