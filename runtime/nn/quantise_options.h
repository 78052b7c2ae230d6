#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/config.h"

namespace herd {

/// `model.quantization`: how the matrices of the blocks' linear layers are kept.
struct QuantOptions {
  std::string method = "nf4";  ///< a name in weight_storages()
  std::int64_t block_size = 64;
  bool double_quant = true;
  double threshold = 6;
  std::optional<std::int64_t> bits, group_size;  ///< gptq; none: the folder's own, 4 and 128 for random weights
  bool head = false;
  std::vector<std::string> skip_modules;

  void validate() const;
  bool operator==(const QuantOptions&) const = default;
};
void describe(Schema& s, QuantOptions& o);

/// "nf4 in blocks of 64, double quantised": what tells one quantisation of a base from another.
std::string describe_quantisation(const QuantOptions& options);

/// All of it on one line that reads back, as herd.json keeps it: `{method: nf4, block_size: 64, …}`.
std::string quantisation_text(const QuantOptions& options);
/// The way back. @param who the file, for errors. @throws ConfigError.
QuantOptions quantisation_from(const std::string& text, const std::string& who);

}  // namespace herd
