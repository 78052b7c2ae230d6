#include "launch/model_convert.h"

#include "launch/model_files.h"
#include "models/conversion.h"
#include "models/meta_folder.h"
#include "runtime/base/new_folder.h"
#include "runtime/tensor/torch_file.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

/// The model's parameters as tensors to go on with, in its own names and number format; without buffers and second names.
std::shared_ptr<const Weights> clean_weights(const LoadedModel& loaded) {
  std::map<std::string, DerivedTensor> all;
  for_each_parameter(*loaded.model, [&](const std::string& name, Parameter& p) {
    TensorInfo info{.dtype = p.value.scalar_type(), .shape = p.value.sizes().vec(), .bytes = static_cast<std::uint64_t>(p.value.numel()) * p.value.element_size()};
    const auto in_row = p.value.numel() / p.value.size(0);
    auto rows = [&loaded, &p, info, in_row](std::int64_t begin, std::int64_t end) {
      auto shape = info.shape;
      shape[0] = end - begin;
      const auto flat = at::empty({(end - begin) * in_row}, at::TensorOptions(info.dtype));
      loaded.read(p, begin * in_row, flat);
      return flat.view(shape);
    };
    all.emplace(name, DerivedTensor{info, std::move(rows)});
  });
  return std::make_shared<const Weights>(std::move(all), "model");
}

TensorToWrite by_pieces(const std::shared_ptr<const Weights>& weights, const std::string& name) {
  const auto& info = weights->info(name);
  return {name, info.dtype, info.shape, [weights, name, &info](const TakePiece& take) {
            constexpr std::int64_t kPieceBytes = 16 << 20;
            const auto rows = info.shape.at(0), row_bytes = std::max<std::int64_t>(1, static_cast<std::int64_t>(info.bytes) / std::max<std::int64_t>(1, rows));
            const auto at_once = std::max<std::int64_t>(1, kPieceBytes / row_bytes);
            for (std::int64_t begin = 0; begin < rows; begin += at_once) {
              const auto piece = weights->rows(name, begin, std::min(rows, begin + at_once)).contiguous();
              check_finite(name, piece);
              take(piece);
            }
          }};
}

void write_meta(const LoadedModel& loaded, const fs::path& source, const fs::path& folder) {
  const auto config = nlohmann::json::parse(loaded.config);
  const auto params = meta_params(config);
  const auto weights = std::make_shared<const Weights>(as_meta_weights(clean_weights(loaded), config));
  std::vector<TensorToWrite> tensors;
  for (const auto& name : weights->names()) tensors.push_back(by_pieces(weights, name));
  stream_torch_file(folder / "consolidated.00.pth", tensors);
  write_file_atomically(folder / "params.json", params.dump(2) + "\n");
  if (fs::exists(source / "tokenizer.model")) write_file_atomically(folder / "tokenizer.model", read_file(source / "tokenizer.model"));
}

}  // namespace

ConvertReport convert_folder(const ConvertRequest& request) {
  const NewFolder staging(request.output, NewFolder::Place::kFree);
  const bool to_meta = request.format == "meta";
  StoredModel stored{nlohmann::json::parse(read_hub_config(request.source)), std::make_shared<const Weights>(open_hub_weights(request.source))};
  const auto dtype = request.dtype.empty() ? stored_format(*stored.weights) : number_formats().at(request.dtype);
  if (to_meta || !request.family.empty()) stored = as_family(stored, to_meta ? "llama" : request.family);
  const auto loaded = open_stored_model(stored.config.dump(2), stored.weights, dtype, request.source.string());
  if (to_meta && loaded.gptq)
    throw ConfigError({.who = request.source.string(), .found = describe_quantisation(as_options(*loaded.gptq)), .expected = "a dense model for Meta's form",
                       .remedy = "take the unquantised folder"});
  ConvertReport report{.family = loaded.model->facts.family, .dtype = format_name(dtype)};
  for_each_parameter(*loaded.model, [&](const std::string&, Parameter& p) { report.parameters += p.value.numel(); });
  if (to_meta) {
    write_meta(loaded, request.source, staging.path());
  } else {
    save_hub_folder(*loaded.model, loaded.config, staging.path(),
                    {.copies = files_beside_weights(request.source, loaded.config), .provenance = read_provenance(request.source),
                     .max_shard_bytes = request.max_shard_bytes, .replace = true, .values = stored_values(loaded)});
  }
  staging.commit();
  return report;
}

}  // namespace herd
