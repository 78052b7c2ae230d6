// Saving and loading a checkpoint against plain write + fsync and read of the same bytes, and what an asynchronous save holds up against a
// warm copy of its bytes: in turn, on one disk, medians.
//
//     bench_checkpoint FOLDER [MiB = 256] [pairs = 7] [ranks = 1]
#include <ATen/Parallel.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "bench/timing.h"
#include "parallel/checkpoint/store.h"
#include "parallel/comm/threads.h"
#include "runtime/base/file.h"

namespace {

namespace fs = std::filesystem;
using namespace herd;

/// The shapes of a model's states: large matrices and some small vectors.
std::vector<NamedSlice> make_slices(std::int64_t bytes, int rank, int ranks) {
  std::vector<NamedSlice> slices;
  constexpr std::int64_t kRows = 1024, kColumns = 4096;
  for (std::int64_t i = 0; i < bytes / (kRows * kColumns * 4); ++i)
    for (const auto& shape : {std::vector<std::int64_t>{kRows, kColumns}, std::vector<std::int64_t>{kColumns}}) {
      const auto elements = c10::multiply_integers(shape), begin = elements * rank / ranks, end = elements * (rank + 1) / ranks;
      slices.push_back({"value", fmt::format("layer.{}.{}", i, shape.size()), shape, begin, end, at::arange(begin, end, at::kFloat)});
    }
  return slices;
}

void write_plainly(const fs::path& path, const std::vector<NamedSlice>& slices) {
  File file(path, File::Mode::replace);
  for (const auto& s : slices) file.write({static_cast<const char*>(s.value.const_data_ptr()), s.value.nbytes()});
  file.sync();
  file.close();
}

void read_plainly(const fs::path& path, const std::vector<NamedSlice>& slices) {
  const File file(path, File::Mode::read);
  for (const auto& s : slices) {
    auto* to = static_cast<char*>(s.value.mutable_data_ptr());
    for (std::size_t at = 0; at < s.value.nbytes();) at += static_cast<std::size_t>(::read(file.descriptor(), to + at, s.value.nbytes() - at));
  }
}

void drop_from_cache(const fs::path& path) {
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    if (!entry.is_regular_file()) continue;
    const File file(entry.path(), File::Mode::read);
    posix_fadvise(file.descriptor(), 0, 0, POSIX_FADV_DONTNEED);
  }
}

struct Results {
  std::vector<double> save, write, load, read, load_cold, read_cold, blocked, copy;
};

void measure(Communicator& c, const fs::path& folder, std::int64_t bytes, int pairs, Results& results) {
  const auto slices = make_slices(bytes, c.rank(), c.size());
  const auto plain = folder / fmt::format("plain-{}", c.rank());
  CheckpointStore store(folder / "checkpoints", c, {.keep = 1'000'000}), beside(folder / "async", c, {.keep = 1, .async = true});
  std::vector<Tensor> copies;
  for (const auto& s : slices) copies.push_back(s.value.clone());
  const auto together = [&](auto f) {
    c.barrier().wait();
    return seconds([&] {
      f();
      c.barrier().wait();
    });
  };
  Results own;
  for (int i = 0; i <= pairs; ++i) {
    fs::path saved;
    own.write.push_back(together([&] { write_plainly(plain, slices); }));
    own.save.push_back(together([&] { saved = store.save(i + 1, {.slices = slices}); }));
    const auto checkpoint = store.find(saved.string());
    own.read.push_back(together([&] { read_plainly(plain, slices); }));
    own.load.push_back(together([&] { store.read(*checkpoint, slices); }));
    drop_from_cache(folder);
    c.barrier().wait();
    own.read_cold.push_back(together([&] { read_plainly(plain, slices); }));
    own.load_cold.push_back(together([&] { store.read(*checkpoint, slices); }));
    own.copy.push_back(together([&] {
      for (std::size_t s = 0; s < slices.size(); ++s) copies[s].copy_(slices[s].value);
    }));
    own.blocked.push_back(together([&] { beside.save(i + 1, {.slices = slices}); }));
    beside.finish();
    fs::remove(plain);
    if (c.rank() == 0) fs::remove_all(saved);
    c.barrier().wait();
  }
  if (c.rank() != 0) return;
  results = own;
  for (auto* times : {&results.save, &results.write, &results.load, &results.read, &results.load_cold, &results.read_cold, &results.blocked, &results.copy})
    times->erase(times->begin());  // first touches of memory
}

void tell(const char* what, std::int64_t bytes, const std::vector<double>& ours, const std::vector<double>& plain, bool is_speed) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < ours.size(); ++i) ratios.push_back(is_speed ? plain[i] / ours[i] : ours[i] / plain[i]);
  const auto gb = static_cast<double>(bytes) / 1e9;
  fmt::print("{:<34} {:6.2f} GB/s against {:6.2f}, median ratio {:.2f}\n", what, gb / median(ours), gb / median(plain), median(ratios));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: bench_checkpoint FOLDER [MiB] [pairs] [ranks]\n");
    return 2;
  }
  const fs::path folder = fs::path(argv[1]) / "herd-bench-checkpoint";
  const std::int64_t bytes = (argc > 2 ? std::stoll(argv[2]) : 256) << 20;
  const int pairs = argc > 3 ? std::stoi(argv[3]) : 7, ranks = argc > 4 ? std::stoi(argv[4]) : 1;
  at::set_num_threads(1);
  fs::create_directories(folder);
  Results r;
  run_threads(ranks, [&](Communicator& c) { measure(c, folder, bytes, pairs, r); });
  fs::remove_all(folder);
  fmt::print("{} MiB, {} rank(s), {} pairs\n", bytes >> 20, ranks, pairs);
  tell("save against write + fsync", bytes, r.save, r.write, true);
  tell("load against read, in the cache", bytes, r.load, r.read, true);
  tell("load against read, from the disk", bytes, r.load_cold, r.read_cold, true);
  tell("asynchronous save against a copy", bytes, r.blocked, r.copy, false);
  return 0;
}
