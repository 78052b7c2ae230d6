// Loading a model's folder into memory against `cat` of its weight files, from the page cache: in turn, medians. A folder that is not there is
// made, of the size asked for. Beside the time it prints the CPU's, which other work on the machine changes less; and what bounds loading: to have
// the kernel clear fresh memory of that size, and to copy the files into memory that is there.
//
//     bench_load FOLDER [MiB = 2048] [pairs = 7] [threads = 2]
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "bench/timing.h"
#include "models/hub.h"

namespace {

namespace fs = std::filesystem;
using namespace herd;

/// Of this process, or of the children that have ended.
double cpu_seconds(int whose) {
  rusage usage{};
  getrusage(whose, &usage);
  const auto of = [](const timeval& t) { return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec); };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

struct Bounds {
  std::vector<double> clear, copy;  // CPU seconds
};

/// Clears fresh memory in huge pages by touching it, then reads the files into it, whatever they hold.
void measure(const std::vector<fs::path>& files, std::uintmax_t bytes, Bounds& bounds) {
  constexpr std::size_t kPage = 4096, kPiece = 256 << 10;
  auto* memory = static_cast<char*>(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  madvise(memory, bytes, MADV_HUGEPAGE);
  auto began = cpu_seconds(RUSAGE_SELF);
  for (std::uintmax_t at = 0; at < bytes; at += kPage) memory[at] = 1;
  bounds.clear.push_back(cpu_seconds(RUSAGE_SELF) - began);
  began = cpu_seconds(RUSAGE_SELF);
  for (auto* to = memory; const auto& path : files) {
    const auto file = open(path.c_str(), O_RDONLY);
    for (ssize_t got = 1; got > 0; to += got) got = read(file, to, std::min<std::size_t>(kPiece, static_cast<std::size_t>(memory + bytes - to)));
    close(file);
  }
  bounds.copy.push_back(cpu_seconds(RUSAGE_SELF) - began);
  munmap(memory, bytes);
}

/// Blocks of a 1B LLaMA, as many as fit.
void make_model_folder(const fs::path& folder, std::int64_t bytes) {
  constexpr std::int64_t kBlock = 4 * (4 * 2048 * 2048 + 3 * 2048 * 5632);
  const auto config = fmt::format(R"({{"model_type": "llama", "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": {},
    "num_attention_heads": 16, "vocab_size": 1000}})", std::max<std::int64_t>(1, bytes / kBlock));
  const auto model = make_model_from(config);
  const auto values = [](const Parameter& p, const TakePiece& take) { take(at::arange(p.value.numel(), at::kFloat)); };
  save_hub_folder(*model, config, folder, {.max_shard_bytes = 700'000'000, .values = values});
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return fmt::print(stderr, "usage: bench_load FOLDER [MiB] [pairs] [threads]\n"), 2;
  const fs::path folder = argv[1];
  const auto number = [&](int i, std::int64_t otherwise) { return argc > i ? std::atoll(argv[i]) : otherwise; };
  if (!fs::exists(folder)) make_model_folder(folder, number(2, 2048) << 20);
  at::set_num_threads(static_cast<int>(number(4, 2)));
  std::uintmax_t bytes = 0;
  std::string files;
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(folder))
    if (const auto kind = entry.path().extension(); kind == ".safetensors" || kind == ".bin") bytes += entry.file_size(), paths.push_back(entry.path()), files += " '" + entry.path().string() + "'";
  std::vector<double> ours, theirs, ratios, our_cpu, their_cpu;
  Bounds bounds;
  for (std::int64_t pair = 0; pair <= number(3, 7); ++pair) {
    LoadedModel loaded;
    const auto self = cpu_seconds(RUSAGE_SELF), children = cpu_seconds(RUSAGE_CHILDREN);
    const auto cat = [&] { if (std::system(("cat" + files + " > /dev/null").c_str()) != 0) std::exit(1); };
    const auto load = [&] { loaded = load_hub_folder(folder, at::kFloat); };
    const bool first = pair % 2 == 0;
    const auto early = first ? seconds(load) : seconds(cat), late = first ? seconds(cat) : seconds(load);
    if (pair == 0) continue;  // the page cache fills
    ours.push_back(first ? early : late), theirs.push_back(first ? late : early);
    ratios.push_back(theirs.back() / ours.back());
    our_cpu.push_back(cpu_seconds(RUSAGE_SELF) - self), their_cpu.push_back(cpu_seconds(RUSAGE_CHILDREN) - children);
    measure(paths, bytes, bounds);
  }
  const auto gb = static_cast<double>(bytes) / 1e9;
  fmt::print("{:.2f} GB: load {:.2f} GB/s, cat {:.2f} GB/s, ratio {:.2f} ({:.2f} to {:.2f})\n", gb, gb / median(ours), gb / median(theirs), median(ratios),
             *std::min_element(ratios.begin(), ratios.end()), *std::max_element(ratios.begin(), ratios.end()));
  fmt::print("CPU seconds a GB: load {:.3f}, cat {:.3f}; to clear fresh memory {:.3f}, to copy into it {:.3f}\n", median(our_cpu) / gb, median(their_cpu) / gb,
             median(bounds.clear) / gb, median(bounds.copy) / gb);
}
