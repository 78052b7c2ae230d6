#pragma once
#include <filesystem>
#include <optional>
#include <string>

namespace herd {

/// What training leaves beside the weights it writes, in `herd.json` of a model's or adapter's folder: how to talk to them and what
/// they belong to. An empty string says that it is not known.
struct Provenance {
  std::string template_name, template_fingerprint;  ///< the prompt template of training (data/template/template.h)
  std::string tokenizer_fingerprint;                ///< Tokenizer::fingerprint
  std::string base_fingerprint;                     ///< of the model that training started from (models/hub.h)
  std::string template_text{};                      ///< its file, where it is the user's own
  std::string base_quantization{};                  ///< how its matrices were kept meanwhile (quantisation_text); dense where empty

  bool operator==(const Provenance&) const = default;
};

/// `folder/herd.json`; nothing where there is none. @throws IoError naming the file and what is wrong with it.
std::optional<Provenance> read_provenance(const std::filesystem::path& folder);
/// @throws IoError.
void write_provenance(const std::filesystem::path& folder, const Provenance& provenance);

}  // namespace herd
