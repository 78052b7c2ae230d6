#include "data/tokenizer/json_tokenizer.h"

#include "data/tokenizer/bpe_tokenizer.h"

namespace herd {
namespace {

JsonNode bpe_model(const JsonNode& root) {
  const auto model = root.at("model");
  // Files from before the key existed are BPE where they have merges.
  const auto type = model.text_or("type", model.value().contains("merges") ? "BPE" : "");
  if (type != "BPE") model.complain("the model type '" + type + "' is not supported", "BPE");
  return model;
}

}  // namespace

std::unique_ptr<Tokenizer> make_json_tokenizer(const std::filesystem::path& file, const TokenizerSettings& settings) {
  const auto bytes = read_text_file(file);
  JsonNode::Json storage;
  const auto root = JsonNode::parse(file, bytes, storage);
  return make_bpe_tokenizer(read_bpe_model(bpe_model(root)), root, settings, bytes);
}

}  // namespace herd
