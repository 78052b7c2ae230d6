#include "launch/launcher/doctor_measure.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "launch/launcher/output_pipe.h"
#include "launch/run_start.h"
#include "parallel/comm/agree.h"
#include "runtime/base/file.h"
#include "runtime/base/process.h"

namespace herd {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

// The shared libraries whose version matters to a run, by the files that this process has open.
std::map<std::string, std::string> loaded_libraries() {
  std::map<std::string, std::string> found;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* into) {
        constexpr std::array<std::string_view, 6> kMatter{"libtorch_cpu", "libc10", "libmpi", "libhdf5", "libherd_runtime", "libnccl"};
        std::error_code error;
        const auto file = fs::canonical(info->dlpi_name, error);
        if (error) return 0;
        const auto name = fs::path(info->dlpi_name).filename().string();
        const auto stem = name.substr(0, name.find('.'));
        if (std::find(kMatter.begin(), kMatter.end(), stem) == kMatter.end()) return 0;
        auto& libraries = *static_cast<std::map<std::string, std::string>*>(into);
        libraries[stem] = fmt::format("{} of {} bytes", file.filename().string(), fs::file_size(file, error));
        return 0;
      },
      &found);
  return found;
}

std::uint64_t available_memory() {
  std::ifstream info("/proc/meminfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("MemAvailable:")) return std::strtoull(line.c_str() + 13, nullptr, 10) * 1024;
  return 0;
}

std::uint64_t free_disk(const fs::path& folder) {
  std::error_code error;
  const auto space = fs::space(folder, error);
  return error ? 0 : space.available;
}

void ask_gpus(HostCard& card) {
  constexpr double kPatience = 30;  // s
  const std::string query = "--query-gpu=name,temperature.gpu,ecc.errors.uncorrected.volatile.total";
  try {
    const auto answer = capture({"nvidia-smi", query, "--format=csv,noheader,nounits"}, kPatience);
    if (answer.code == 0) card.gpus = parse_gpus(answer.said);
    else card.gpu_trouble = answer.code ? answer.said.substr(0, answer.said.find('\n')) : fmt::format("no answer in {:.0f} s", kPatience);
  } catch (const IoError&) {
    return;  // a host without GPUs has no nvidia-smi
  }
}

// What keeps this host from seeing what rank 0 wrote; a network file system may take a while.
std::string look_for(const fs::path& file, const std::string& token) {
  constexpr auto kPatience = std::chrono::seconds(5);
  for (const auto until = Clock::now() + kPatience;;) {
    std::error_code missing;
    if (fs::exists(file, missing) && read_file(file) == token) return "";
    if (Clock::now() > until) return "nothing of what rank 0 wrote to " + file.parent_path().string();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

// How far this clock is ahead of rank 0's: the least of a few rounds, each of which is off by what its barrier takes.
double clock_ahead(Communicator& world) {
  constexpr int kRounds = 5;
  double least = 1e9;
  for (int round = 0; round < kRounds; ++round) {
    world.barrier().wait();
    auto now = at::full({1}, unix_time_s(), at::kDouble);
    const auto own = now.item<double>();
    world.broadcast(now).wait();
    const auto ahead = own - now.item<double>();
    if (std::abs(ahead) < std::abs(least)) least = ahead;
  }
  return least;
}

// In seconds; the median.
double time_all_reduce(Communicator& ranks, std::int64_t bytes, int repeats) {
  auto buffer = at::ones({bytes / 4});
  std::vector<double> times;
  for (int i = 0; i <= repeats; ++i) {
    ranks.barrier().wait();
    const auto began = Clock::now();
    ranks.all_reduce(buffer).wait();
    if (i > 0) times.push_back(std::chrono::duration<double>(Clock::now() - began).count());
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

}  // namespace

std::vector<HostCard> gather_cards(Communicator& world, const fs::path& folder) {
  const auto mark = folder / fmt::format(".doctor-{}", broadcast_string(world, fmt::format("{}-{}", host_name(), getpid())));
  const auto token = mark.filename().string();
  agree(world, [&] {
    if (world.rank() != 0) return;
    make_folder(folder);
    write_file_atomically(mark, token);
  });
  const auto ahead = clock_ahead(world);
  const auto told = agree(world, [&]() -> std::string {
    if (world.local_rank() != 0) return "";
    HostCard card{.host = host_name(), .first_rank = world.rank(), .ranks = world.local_size(), .build = build_fingerprint(), .libraries = loaded_libraries(),
                  .folder_trouble = look_for(mark, token), .clock_ahead_s = ahead, .disk_bytes = free_disk(folder), .memory_bytes = available_memory(), .gpus = {}, .gpu_trouble = {}};
    ask_gpus(card);
    return to_json(card);
  });
  const auto all = all_gather_string(world, told);
  if (world.rank() == 0) fs::remove(mark);
  std::vector<HostCard> cards;
  for (const auto& json : all)
    if (!json.empty()) cards.push_back(host_card_from(json));
  return cards;
}

std::vector<LinkTime> time_links(Communicator& world, const std::vector<HostCard>& cards, std::int64_t bytes, int repeats) {
  std::vector<LinkTime> own;  // that this rank is to tell
  {
    const auto inside = world.split(world.node_rank(), world.rank());
    const auto seconds = inside->size() > 1 ? time_all_reduce(*inside, bytes, repeats) : 0;
    if (inside->size() > 1 && inside->rank() == 0) own.push_back({.a = host_name(), .b = host_name(), .seconds = seconds});
  }
  for (std::size_t a = 0; a < cards.size(); ++a)
    for (std::size_t b = a + 1; b < cards.size(); ++b) {
      const bool first = world.rank() == cards[a].first_rank, second = world.rank() == cards[b].first_rank;
      const auto pair = world.split(first || second ? 0 : -1, world.rank());
      if (!pair) continue;
      const auto seconds = time_all_reduce(*pair, bytes, repeats);
      if (first) own.push_back({.a = cards[a].host, .b = cards[b].host, .seconds = seconds});
    }
  nlohmann::json told = nlohmann::json::array();
  for (const auto& time : own) told.push_back({time.a, time.b, time.seconds});
  std::vector<LinkTime> times;
  for (const auto& text : all_gather_string(world, told.dump()))
    for (const auto& time : nlohmann::json::parse(text)) times.push_back({.a = time[0], .b = time[1], .seconds = time[2]});
  return times;
}

}  // namespace herd
