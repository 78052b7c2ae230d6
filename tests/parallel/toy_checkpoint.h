#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "parallel/checkpoint/store.h"

// Checkpoints of a few small tensors, whose values are closed forms of (tensor, element), different in every place.
namespace herd::test {

struct Logical {
  std::string state, name;
  std::vector<std::int64_t> shape;
  at::ScalarType dtype;
  std::int64_t numel() const { return c10::multiply_integers(shape); }
};

inline Tensor expected(std::size_t which, const Logical& t, std::int64_t salt) {
  return ((at::arange(t.numel(), at::kLong) * 7 + static_cast<std::int64_t>(which) * 31 + salt * 13) % 251 - 100).to(t.dtype);
}

inline std::vector<Logical> toy_tensors() {
  std::vector<Logical> all;
  for (const auto* state : {"value", "exp_avg", "exp_avg_sq"})
    for (const auto& [name, shape] : std::vector<std::pair<std::string, std::vector<std::int64_t>>>{
             {"model.embed.weight", {11, 6}}, {"model.layers.0.q_proj.lora_A.weight", {3, 7}}, {"model.norm.weight", {13}}, {"scale", {}}})
      all.push_back({state, name, shape, at::kFloat});
  all.push_back({"value", "half", {5, 5}, at::kBFloat16});
  all.push_back({"count", "rows", {17}, at::kLong});
  return all;
}

/// How ranks hold the tensors.
enum class Layout { kReplicas, kRanges };

/// Of all tensors laid end to end, what rank `rank` of `ranks` holds: all of it, or an uneven range that minds no tensor's edge (as ZeRO's
/// do), with nothing at all for rank 1 of 4.
inline std::vector<NamedSlice> layout(const std::vector<Logical>& tensors, Layout how, int rank, int ranks, bool filled,
                                      std::int64_t salt) {
  std::int64_t total = 0;
  for (const auto& t : tensors) total += t.numel();
  const std::vector<std::int64_t> weights{3, ranks == 4 ? 0 : 1, 2, 5};
  std::int64_t sum = 0, before = 0;
  for (int r = 0; r < ranks; ++r)
    sum += weights[static_cast<std::size_t>(r)], before += r < rank ? weights[static_cast<std::size_t>(r)] : 0;
  auto begin = total * before / sum, end = total * (before + weights[static_cast<std::size_t>(rank)]) / sum;
  if (how == Layout::kReplicas) begin = 0, end = total;
  std::vector<NamedSlice> slices;
  std::int64_t offset = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& t = tensors[i];
    const auto from = std::clamp<std::int64_t>(begin - offset, 0, t.numel()), to = std::clamp<std::int64_t>(end - offset, 0, t.numel());
    if (from < to || how == Layout::kRanges) {
      const auto whole = filled ? expected(i, t, salt) : at::full({t.numel()}, -128, t.dtype);
      slices.push_back({t.state, t.name, t.shape, from, to, whole.narrow(0, from, to - from).clone()});
    }
    offset += t.numel();
  }
  return slices;
}

inline void expect_filled(const std::vector<NamedSlice>& found, const std::vector<NamedSlice>& wanted, const std::string& what) {
  ASSERT_EQ(found.size(), wanted.size());
  for (std::size_t i = 0; i < found.size(); ++i)
    EXPECT_TRUE(at::equal(found[i].value, wanted[i].value)) << what << ": " << found[i].state << " of " << found[i].name;
}

inline CheckpointContent content(int rank = 0, int ranks = 1, std::int64_t salt = 0, Layout how = Layout::kReplicas) {
  return {.slices = layout(toy_tensors(), how, rank, ranks, true, salt),
          .state = R"({"loss_scale":0.1,"step":5,"名":[1,2]})",
          .fingerprints = {{"base model", "b1"}, {"tokenizer", "t1"}, {"template", "alpaca"}, {"adapter", "lora r 8"}},
          .config = "train:\n  epochs: 3\n",
          .held_out_loss = 1.25};
}

/// A store of one rank.
struct Alone {
  std::unique_ptr<Communicator> communicator = make_self_communicator();
  CheckpointStore store;
  explicit Alone(const std::filesystem::path& folder, CheckpointStoreOptions options = {})
      : store(folder, *communicator, std::move(options)) {}
};

/// Finds and reads it on one rank; throws what is wrong, and fails where the tensors are not those of `salt`.
inline Checkpoint load(const std::filesystem::path& folder, const std::string& resume = "auto", std::int64_t salt = 0) {
  Alone alone(folder);
  auto checkpoint = alone.store.find(resume);
  EXPECT_TRUE(checkpoint);
  alone.store.check(*checkpoint, content().fingerprints);
  const auto into = layout(toy_tensors(), Layout::kReplicas, 0, 1, false, 0);
  alone.store.read(*checkpoint, into);
  expect_filled(into, content(0, 1, salt).slices, "load");
  return *checkpoint;
}

inline std::set<std::string> names(const std::filesystem::path& folder) {
  std::set<std::string> all;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) all.insert(entry.path().filename().string());
  return all;
}

}  // namespace herd::test
