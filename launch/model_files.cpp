#include "launch/model_files.h"

#include "data/tokenizer/tokenizer.h"
#include "models/hub_code.h"

namespace herd {

namespace fs = std::filesystem;

const Table<at::ScalarType>& number_formats() {
  static const Table<at::ScalarType> table{"number format", {{"fp32", at::kFloat}, {"bf16", at::kBFloat16}, {"fp16", at::kHalf}}};
  return table;
}

std::string format_name(at::ScalarType dtype) {
  for (const auto& [name, format] : number_formats())
    if (format == dtype) return name;
  return "fp32";
}

at::ScalarType stored_format(const Weights& weights) {
  std::map<std::string, std::uint64_t> bytes;
  for (const auto& name : weights.names())
    if (const auto& info = weights.info(name); at::isFloatingType(info.dtype)) bytes[format_name(info.dtype)] += info.bytes;  // not GPTQ's codes
  const auto most = std::max_element(bytes.begin(), bytes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == bytes.end() ? at::kFloat : number_formats().at(most->first);
}

std::vector<fs::path> files_beside_weights(const fs::path& model, const std::string& config) {
  auto files = tokenizer_files(model);
  const auto code = code_files(model, nlohmann::json::parse(config));
  files.insert(files.end(), code.begin(), code.end());
  if (fs::exists(model / "generation_config.json")) files.push_back(model / "generation_config.json");
  return files;
}

void check_finite(const std::string& name, const Tensor& piece) {
  if (!at::isFloatingType(piece.scalar_type()) || at::isfinite(piece).all().item<bool>()) return;
  throw IoError({.who = "tensor '" + name + "'",
                 .found = at::isnan(piece).any().item<bool>() ? "NaN" : "infinity, or numbers beyond " + std::string(c10::toString(piece.scalar_type())),
                 .expected = "numbers",
                 .remedy = "was the training that wrote it diverging, or is the number format too narrow (--dtype)?"});
}

ParameterValues stored_values(const LoadedModel& loaded) {
  return [&loaded](const Parameter& parameter, const TakePiece& take) {
    constexpr std::int64_t kPiece = std::int64_t{4} << 20;
    const auto total = parameter.value.numel();
    auto buffer = at::empty({std::min(kPiece, total)}, at::TensorOptions(parameter.value.scalar_type()));
    for (std::int64_t begin = 0; begin < total; begin += kPiece) {
      const auto piece = buffer.narrow(0, 0, std::min(kPiece, total - begin));
      loaded.read(parameter, begin, piece);
      check_finite(parameter.name, piece);
      take(piece);
    }
  };
}

}  // namespace herd
