#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

namespace herd {

struct ExtendRequest {
  std::filesystem::path model;      ///< a Hugging Face folder of either weight format, or one of Meta's
  std::filesystem::path with;       ///< the file of a second SentencePiece model
  std::filesystem::path output;     ///< new or empty
  std::filesystem::path tokenizer;  ///< a folder; empty: the model's
  std::string dtype;                ///< fp32, bf16 or fp16; empty: as most of the weights are stored
};

struct ExtendReport {
  std::string vocabulary;  ///< "32,000 pieces and 17,953 new ones of FILE, …"
  std::string dtype;
  std::int64_t rows = 0;  ///< of the embedding
};

/// Writes a model with a longer vocabulary, and the tokenizer to it, as a Hugging Face folder: what a run with model.extend_vocab begins
/// with. Whole or not at all; no more than a piece of some MiB is in memory. @throws what extend_vocabulary, grow_vocabulary and
/// save_hub_folder throw.
ExtendReport extend_folder(const ExtendRequest& request);

}  // namespace herd
