#pragma once
#include <memory>
#include <vector>

#include "tests/support/watched.h"

namespace herd::test {

/// Runs every collective of CPU tensors on the GPU: up, there, and down again at wait(). So the contract, which is written for CPU
/// tensors, tries a backend for GPUs; an input that lies inside its output, or the other way round, does so up there too.
class OnGpu final : public Communicator {
 public:
  explicit OnGpu(std::unique_ptr<Communicator> inner)
      : Communicator(inner->rank(), inner->size(), inner->options()), inner_(std::move(inner)), gpu_(inner_->devices().front()) {}

  std::string backend() const override { return inner_->backend(); }

 protected:
  std::shared_ptr<Pending> start(Operation o) override {
    if (o.kind == CommKind::kBarrier) return std::make_shared<Fetch>(std::move(o), Tensor(), inner_->barrier());
    Tensor input, output;
    if (o.input.is_alias_of(o.output)) {
      const auto& larger = o.input.numel() > o.output.numel() ? o.input : o.output;
      const auto up = larger.reshape({-1}).to(gpu_);
      const auto place = [&](const Tensor& t) { return up.narrow(0, t.storage_offset() - larger.storage_offset(), t.numel()); };
      input = place(o.input);
      output = place(o.output);
    } else {
      input = o.input.reshape({-1}).to(gpu_);
      output = o.output.reshape({-1}).to(gpu_);
    }
    auto work = enter(*inner_, o, input, output);
    return std::make_shared<Fetch>(std::move(o), output, std::move(work));
  }
  std::unique_ptr<Communicator> start_split(Operation o, int color, int key, CommOptions options) override {
    auto part = inner_->split(color, key, options);
    Fetch(std::move(o), {}, {}).complete();
    return part ? std::make_unique<OnGpu>(std::move(part)) : nullptr;
  }

 private:
  struct Fetch final : Carried {
    Fetch(Operation o, Tensor on_gpu, Work work) : Carried(std::move(o), std::move(work)), result(std::move(on_gpu)) {}
    void arrived() override {
      if (result.defined()) operation().output.copy_(result.view(operation().output.sizes()));
    }
    Tensor result;
  };

  std::unique_ptr<Communicator> inner_;
  const at::Device gpu_;
};

}  // namespace herd::test
