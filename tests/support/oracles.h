#pragma once
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "runtime/nn/autograd.h"
#include "runtime/nn/batch.h"
#include "tests/support/assets.h"

// Independent answers for the layers: finite differences in fp64, and the fp64 goldens beside the checkout.
namespace herd::test {

// Each bound with its reason.
inline constexpr double kGolden = 1e-12;       // fp64 against fp64 of numbers of order 1; stored with 16 digits
inline constexpr double kGoldenInFp32 = 2e-6;  // the same through fp32: some ten roundings of 6e-8
inline constexpr double kDifference = 1e-6;    // central differences with h = 1e-5 in fp64: truncation h² and cancellation 1e-16 / h
inline constexpr double kFp32 = 1e-6;          // closed forms of order 1 in fp32: some ten roundings

inline Tensor random(at::IntArrayRef shape, at::ScalarType dtype = at::kDouble, std::uint64_t seed = 1) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  return at::randn(shape, generator, at::TensorOptions().dtype(at::kDouble)).to(dtype);
}

inline double deviation(const Tensor& found, const Tensor& expected) {
  EXPECT_EQ(found.sizes(), expected.sizes());
  return found.numel() == 0 ? 0 : (found.to(at::kDouble) - expected.to(at::kDouble)).abs().max().item<double>();
}

/// Over the greatest expected element, where that is above 1.
inline double relative_deviation(const Tensor& found, const Tensor& expected) {
  return deviation(found, expected) / std::max(1.0, expected.abs().max().item<double>());
}

inline Tensor leaf(const Tensor& x) {
  auto copy = x.detach().clone();
  copy.set_requires_grad(true);
  return copy;
}

using Inputs = std::vector<Tensor>;
using Layer = std::function<Tensor(const Inputs&)>;

/// Gradients of Σ weight·layer(inputs), weight fixed, so that every output counts differently.
inline Inputs gradients(const Layer& layer, const Inputs& inputs, const Tensor& weight) {
  Inputs leaves;
  for (const auto& x : inputs) leaves.push_back(leaf(x));
  const auto y = layer(leaves);
  backward(y, weight.to(y.scalar_type()));
  Inputs result;
  for (const auto& x : leaves) result.push_back(x.grad());
  return result;
}

inline void expect_gradients_of_differences(const Layer& layer, const Inputs& inputs) {
  constexpr double h = 1e-5;
  const auto weight = random(layer(inputs).sizes(), at::kDouble, 99);
  const auto found = gradients(layer, inputs, weight);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    ASSERT_TRUE(found[i].defined()) << "input " << i;
    auto moved = inputs;
    moved[i] = inputs[i].clone();
    const auto flat = moved[i].view(-1), expected = at::empty_like(flat);
    const auto value = [&] { return (layer(moved) * weight).sum().item<double>(); };
    for (std::int64_t j = 0; j < flat.numel(); ++j) {
      const auto old = flat[j].item<double>();
      flat[j].fill_(old + h);
      const auto above = value();
      flat[j].fill_(old - h);
      expected[j].fill_((above - value()) / (2 * h));
      flat[j].fill_(old);
    }
    EXPECT_LT(deviation(found[i].reshape(-1), expected), kDifference) << "input " << i;
  }
}

/// One file of ../shared/assets/goldens/ops-fp64.
class Golden {
 public:
  explicit Golden(const std::string& op) { std::ifstream(path(op)) >> json_; }
  static std::filesystem::path path(const std::string& op) { return assets() / "goldens" / "ops-fp64" / (op + "_small_case_1.json"); }

  Tensor operator()(const std::string& group, const std::string& name, at::ScalarType dtype = at::kDouble) const {
    const auto& entry = json_.at(group).at(name);
    const auto data = at::tensor(entry.at("data").get<std::vector<double>>(), at::kDouble);
    return data.view(entry.at("shape").get<std::vector<std::int64_t>>()).to(dtype);
  }

 private:
  nlohmann::json json_;
};

#define HERD_NEED_GOLDEN(op) HERD_NEED_ASSET(std::string("goldens/ops-fp64/") + (op) + "_small_case_1.json")

struct Precise {
  at::ScalarType dtype;
  double bound;
};
inline const Precise kPrecisions[] = {{at::kDouble, kGolden}, {at::kFloat, kGoldenInFp32}};

/// Texts of these lengths one after another in each row, in a batch of t columns; a negative length and what is left of a row are padding.
inline Batch rows_of(const std::vector<std::vector<std::int64_t>>& lengths, std::int64_t t) {
  Batch batch;
  const auto b = static_cast<std::int64_t>(lengths.size());
  batch.tokens_bt = at::zeros({b, t}, at::kLong);
  batch.positions_bt = at::zeros({b, t}, at::kLong);
  for (std::int64_t row = 0, begin = 0; row < b; ++row, begin = 0) {
    for (const auto length : lengths[static_cast<std::size_t>(row)]) {
      if (length < 0) {
        begin -= length;
        continue;
      }
      batch.segments.push_back({row, begin, begin + length});
      batch.positions_bt[row].narrow(0, begin, length).copy_(at::arange(length, at::kLong));
      begin += length;
    }
  }
  return batch;
}

}  // namespace herd::test
