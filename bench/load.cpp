// Loading a model's folder into memory against `cat` of its weight files, from the page cache: in turn, medians. A folder that is not there is
// made, of the size asked for.
//
//     bench_load FOLDER [MiB = 2048] [pairs = 7] [threads = 2]
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "models/hub.h"

namespace {

namespace fs = std::filesystem;
using namespace herd;

template <class F>
double seconds(F f) {
  const auto began = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
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
  for (const auto& entry : fs::directory_iterator(folder))
    if (const auto kind = entry.path().extension(); kind == ".safetensors" || kind == ".bin") bytes += entry.file_size(), files += " '" + entry.path().string() + "'";
  std::vector<double> ours, theirs, ratios;
  for (std::int64_t pair = 0; pair <= number(3, 7); ++pair) {
    LoadedModel loaded;
    const auto cat = [&] { if (std::system(("cat" + files + " > /dev/null").c_str()) != 0) std::exit(1); };
    const auto load = [&] { loaded = load_hub_folder(folder, at::kFloat); };
    const bool first = pair % 2 == 0;
    const auto early = first ? seconds(load) : seconds(cat), late = first ? seconds(cat) : seconds(load);
    if (pair == 0) continue;  // the page cache fills
    ours.push_back(first ? early : late), theirs.push_back(first ? late : early);
    ratios.push_back(theirs.back() / ours.back());
  }
  const auto gb = static_cast<double>(bytes) / 1e9;
  fmt::print("{:.2f} GB: load {:.2f} GB/s, cat {:.2f} GB/s, ratio {:.2f} ({:.2f} to {:.2f})\n", gb, gb / median(ours), gb / median(theirs), median(ratios),
             *std::min_element(ratios.begin(), ratios.end()), *std::max_element(ratios.begin(), ratios.end()));
}
