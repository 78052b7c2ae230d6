#pragma once
#include <gtest/gtest.h>

#include "runtime/nn/quantise.h"

namespace herd::test {

/// A quantised weight of a dense matrix [out, in], its parts read in stretches of so many bytes.
struct Quantised {
  std::unique_ptr<QuantisedWeight> weight;
  Tensor codes, scales;

  Quantised(const Tensor& dense, const QuantOptions& options, std::int64_t stretch = 1 << 30) {
    weight = weight_storages().at(options.method).make(Parameter(dense.sizes(), {"out", "in"}), options);
    const auto flat = dense.to(at::kFloat).reshape(-1);
    for_each_parameter(*weight, [&](const std::string& name, Parameter& p) {
      EXPECT_FALSE(p.trainable);
      auto bytes = at::empty({p.value.numel()}, at::kByte);
      for (std::int64_t begin = 0; begin < bytes.numel(); begin += stretch)
        weight->read(p, begin, bytes.narrow(0, begin, std::min(stretch, bytes.numel() - begin)),
                     [&](std::int64_t from, const Tensor& out) { out.copy_(flat.narrow(0, from, out.numel())); });
      p.value = bytes.view(p.value.sizes());
      (name == "weight" ? codes : scales) = p.value;
    });
  }
};

}  // namespace herd::test
