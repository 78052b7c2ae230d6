#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "models/gptq_folder.h"
#include "models/row_map.h"
#include "runtime/base/error.h"
#include "runtime/nn/causal_lm.h"
#include "runtime/nn/gptq_weight.h"
#include "runtime/nn/quantise.h"
#include "runtime/tensor/dtype.h"

// A quantised layer's four tensors as the two parts of its storage.
namespace herd {
namespace {

constexpr const char* kCodes = ".qweight";
constexpr const char* kAgain = "download or quantise the folder again";

/// Of one layer: where its tensors are, and how they are laid.
struct Layer {
  std::shared_ptr<const Weights> weights;
  std::string name, who;  // `model.layers.0.mlp.up_proj`, as stored; and as errors call it
  GptqLayout layout;
  bool zeros_less_one = true;

  std::string tensor(const char* part) const { return name + "." + part; }
  bool has(const char* part) const { return weights->contains(tensor(part)); }
  Tensor view(const char* part) const { return weights->view(tensor(part)); }
  Tensor g_idx() const { return has("g_idx") ? view("g_idx").to(at::kInt) : at::arange(layout.in, at::kInt).floor_divide_(layout.in / layout.groups); }

  [[noreturn]] void refuse(const std::string& part, const std::string& found, const std::string& expected, const std::string& remedy = kAgain) const {
    throw ShapeError({.who = who + (part.empty() ? "" : "." + part), .found = found, .expected = expected, .remedy = remedy});
  }
  void need(const char* part, std::vector<std::int64_t> shape, const std::vector<at::ScalarType>& dtypes) const {
    const auto& info = weights->info(tensor(part));
    const bool known = std::find(dtypes.begin(), dtypes.end(), info.dtype) != dtypes.end();
    if (!known || info.shape != shape)
      refuse(part, fmt::format("{} {}", dtype_name(info.dtype), shape_text(info.shape)), fmt::format("{} {}", dtype_name(dtypes.front()), shape_text(shape)));
  }
};

std::int64_t bits_of(const Layer& layer, std::int64_t out, std::int64_t in, const GptqConfig& config) {
  const auto& info = layer.weights->info(layer.tensor("qweight"));
  for (const auto part : {"qzeros", "scales"})
    if (!layer.has(part))
      throw IoError({.who = layer.who, .found = fmt::format("no {} beside its qweight", part), .expected = "qweight, qzeros, scales and, but in the oldest files, g_idx", .remedy = kAgain});
  if (info.dtype != at::kInt || info.shape.size() != 2 || info.shape[1] != out)
    layer.refuse("qweight", fmt::format("{} {}", dtype_name(info.dtype), shape_text(info.shape)), fmt::format("I32 [{} · bits / 32, {}]", in, out));
  for (const std::int64_t bits : {2, 3, 4, 8}) {
    if (in * bits % 32 != 0 || info.shape[0] * 32 != in * bits) continue;
    if (config.bits && *config.bits != bits)
      layer.refuse("qweight", fmt::format("{}, which is {} bits of {} inputs", shape_text(info.shape), bits, in), fmt::format("{} bits, as its config says", *config.bits));
    if (out * bits % 32 != 0) layer.refuse("qweight", fmt::format("{} outputs in {} bits", out, bits), "rows of qzeros that fill words of 32 bits", "");
    return bits;
  }
  layer.refuse("qweight", shape_text(info.shape), fmt::format("2, 3, 4 or 8 bits of {} inputs: {} · bits / 32 rows", in, in));
}

std::int64_t groups_of(const Layer& layer, std::int64_t in, const GptqConfig& config) {
  const auto& shape = layer.weights->info(layer.tensor("scales")).shape;
  const auto stored = shape.empty() ? 0 : shape[0];
  const auto size = config.group_size.value_or(stored > 0 && in % stored == 0 ? in / stored : 0);
  if (size == -1) return 1;
  if (size < 1 || in % size != 0)
    layer.refuse("scales", config.group_size ? fmt::format("{} inputs in groups of {}", in, size) : fmt::format("{} groups of {} inputs", stored, in),
                 "a group size that divides the inputs", "quantise the model with one that does (herd quantize --group-size)");
  return in / size;
}

void check_groups(const Layer& layer) {
  if (!layer.has("g_idx")) return;
  layer.need("g_idx", {layer.layout.in}, {at::kInt, at::kLong});
  const auto g_idx = layer.view("g_idx");
  const auto least = g_idx.min().item<std::int64_t>(), most = g_idx.max().item<std::int64_t>();
  if (least < 0 || most >= layer.layout.groups)
    layer.refuse("g_idx", fmt::format("groups {} to {}", least, most), fmt::format("0 to {}: scales hold {}", layer.layout.groups - 1, layer.layout.groups));
}

DerivedTensor codes_of(const Layer& layer) {
  const auto& l = layer.layout;
  TensorInfo info{.dtype = at::kByte, .shape = {l.out, l.row_bytes()}, .bytes = static_cast<std::uint64_t>(l.out * l.row_bytes())};
  return {info, [layer](std::int64_t begin, std::int64_t end) { return layer.view("qweight").narrow(1, begin, end - begin).t().contiguous().view(at::kByte); }};
}

DerivedTensor scales_of(const Layer& layer) {
  const auto size = layer.layout.scale_bytes();
  const auto scales = [layer](std::int64_t begin, std::int64_t end) { return layer.view("scales").narrow(1, begin, end - begin).t().to(at::kHalf); };
  const auto zeros = [layer](std::int64_t begin, std::int64_t end) {
    const auto stored = unpacked_rows(layer.view("qzeros").view(at::kByte), layer.layout.bits, begin, end).t();
    return layer.zeros_less_one ? stored.add(1).bitwise_and((1 << layer.layout.bits) - 1) : stored;
  };
  return {TensorInfo{.dtype = at::kByte, .shape = {size}, .bytes = static_cast<std::uint64_t>(size)}, [=](std::int64_t begin, std::int64_t end) {
            const auto bytes = at::empty({end - begin}, at::kByte);
            layer.layout.read_scales(begin, bytes, layer.g_idx(), scales, zeros);
            return bytes;
          }};
}

}  // namespace

bool holds_gptq(const Weights& weights) {
  const auto names = weights.names();
  return std::any_of(names.begin(), names.end(), [](const std::string& name) { return name.ends_with(kCodes); });
}

std::shared_ptr<const Weights> keep_gptq(CausalLm& model, const std::shared_ptr<const Weights>& weights, const GptqConfig& config,
                                         const std::function<std::string(const std::string&)>& stored, const std::string& who) {
  std::map<std::string, DerivedTensor> tensors;
  for (const auto& name : weights->names()) tensors.emplace(name, renamed({weights, name}));
  std::int64_t kept = 0;
  const auto keep = [&](const std::string& name, Linear& linear) {
    const auto codes = stored(name + kCodes);
    if (!weights->contains(codes)) return;
    ++kept;
    Layer layer{.weights = weights, .name = codes.substr(0, codes.size() - std::string_view(kCodes).size()), .who = who + ": " + name,
                .zeros_less_one = config.zeros_less_one};
    auto& l = layer.layout;
    l = {.out = linear.out_features(), .in = linear.in_features()};
    l.bits = bits_of(layer, l.out, l.in, config);
    l.groups = groups_of(layer, l.in, config);
    layer.need("scales", {l.groups, l.out}, {at::kHalf, at::kBFloat16, at::kFloat});
    layer.need("qzeros", {l.groups, l.out * l.bits / 32}, {at::kInt});
    check_groups(layer);
    for (const auto* part : {"qweight", "qzeros", "scales", "g_idx"}) tensors.erase(layer.tensor(part));
    tensors.emplace(layer.tensor("weight"), codes_of(layer));
    tensors.emplace(layer.tensor("weight.scales"), scales_of(layer));
    // Older writers put a bias of zeros beside every layer.
    if (!linear.bias().defined() && layer.has("bias") && layer.view("bias").eq(0).all().item<bool>()) tensors.erase(layer.tensor("bias"));
    keep_quantised(linear, std::make_unique<GptqWeight>(out_in(linear), l.bits, l.groups));
  };
  for_each_linear(model, keep);
  if (kept == 0)
    throw IoError({.who = who, .found = "no linear layer's qweight", .expected = "layers that GPTQ has quantised, as its config says", .remedy = kAgain});
  return std::make_shared<const Weights>(std::move(tensors), who);
}

}  // namespace herd
