#include "launch/launcher/mpirun.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

#include "runtime/base/error.h"

namespace herd {
namespace {

constexpr std::string_view kOpenMpi = "(Open MPI) ";

std::string_view first_line(std::string_view text) { return text.substr(0, text.find('\n')); }

int leading_number(std::string_view text) {
  int number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::string_view word(std::string_view text) { return text.substr(0, text.find_first_of(" \t\r\n,")); }

// `key` and what follows it in `text`, as one word; empty where there is none.
std::string_view word_after(std::string_view text, std::string_view key) {
  const auto at = text.find(key);
  return at == std::string_view::npos ? "" : word(text.substr(at + key.size()));
}

std::string whose(std::string_view said) {
  if (said.find("Intel(R) MPI") != std::string_view::npos) return "Intel MPI";
  if (said.find("HYDRA") != std::string_view::npos) return "MPICH or a relative of it (Hydra)";
  return fmt::format("'{}'", first_line(said));
}

// Numbers and dots: mpirun 4 would cut the name at its first dot.
bool is_address(const std::string& name) { return name.find_first_not_of("0123456789.") == std::string::npos; }

bool is_plain(char c) { return std::isalnum(static_cast<unsigned char>(c)) || std::string_view("_-./:=,@%+").find(c) != std::string_view::npos; }

}  // namespace

Mpirun parse_mpirun_version(const std::string& program, std::string_view said) {
  const auto version = word_after(said, kOpenMpi);
  const auto major = leading_number(version);
  if (major >= 4) return {.program = program, .major = major, .version = std::string(version)};
  throw ConfigError({.who = program,
                     .found = version.empty() ? "the launcher of " + whose(said) : fmt::format("Open MPI {}", version),
                     .expected = "Open MPI's, 4 or 5, which herd is built with: ranks under another's would each come up alone",
                     .remedy = "put Open MPI's bin folder first in PATH (module load openmpi), or name its mpirun: --mpirun FILE"});
}

void check_mpirun_fits(const Mpirun& mpirun, std::string_view library) {
  const auto version = word_after(library, "Open MPI v");
  if (leading_number(version) == mpirun.major) return;
  throw ConfigError({.who = mpirun.program,
                     .found = "Open MPI " + mpirun.version,
                     .expected = fmt::format("the version of the library that herd runs with: {}", version.empty() ? first_line(library) : version),
                     .remedy = "put that version's bin folder first in PATH, or name its mpirun: --mpirun FILE"});
}

std::vector<std::string> mpirun_command(const MpirunRequest& r) {
  const bool new_names = r.mpirun.major >= 5;
  std::vector<std::string> words{r.mpirun.program};
  const auto add = [&](std::initializer_list<std::string> more) { words.insert(words.end(), more); };
  if (r.as_root) add({"--allow-run-as-root"});
  if (new_names) add({"--output", "tag"});
  else add({"--tag-output"});
  add({"--bind-to", r.bind_to, "--map-by", r.map_by});
  const std::string run_time = new_names ? "--prtemca" : "--mca";
  constexpr std::array<std::pair<const char*, const char*>, 3> kKeepalive{{{"time", "3"}, {"intvl", "1"}, {"probes", "3"}}};
  for (const auto& [name, value] : kKeepalive) add({run_time, std::string("oob_tcp_keepalive_") + name, value});
  if (!new_names && std::any_of(r.placed.begin(), r.placed.end(), [](const Host& h) { return is_address(h.name); })) add({"--mca", "orte_keep_fqdn_hostnames", "1"});
  for (const auto& [name, value] : r.mca) add({"--mca", name, value});
  for (const auto& name : r.passed) add({"-x", name});
  add({"--host", text(r.placed), "-n", std::to_string(slots(r.placed))});
  words.insert(words.end(), r.more.begin(), r.more.end());
  words.insert(words.end(), r.program.begin(), r.program.end());
  return words;
}

std::vector<std::string> names_to_pass(const std::set<std::string>& environment) {
  constexpr std::array<std::string_view, 2> kNames{"OMP_NUM_THREADS", "LD_LIBRARY_PATH"};
  constexpr std::array<std::string_view, 7> kBeginnings{"HERD_", "HF_", "NCCL_", "UCX_", "MKL_", "ONEDNN_", "TORCH_"};
  std::vector<std::string> passed;
  for (const auto& name : environment) {
    const bool wanted = std::find(kNames.begin(), kNames.end(), name) != kNames.end() ||
                        std::any_of(kBeginnings.begin(), kBeginnings.end(), [&](auto beginning) { return name.starts_with(beginning); });
    if (wanted) passed.push_back(name);
  }
  return passed;
}

std::string shell_text(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& one : words) {
    if (!out.empty()) out += ' ';
    if (!one.empty() && std::all_of(one.begin(), one.end(), is_plain)) {
      out += one;
      continue;
    }
    out += '\'';
    for (const char c : one) out += c == '\'' ? "'\\''" : std::string(1, c);
    out += '\'';
  }
  return out;
}

RankLine parse_rank_line(std::string_view line, int major) {
  const RankLine own{.rank = -1, .to_stdout = false, .text = line};
  const auto close = line.find("]<");
  if (!line.starts_with('[') || close == std::string_view::npos) return own;
  const auto comma = line.rfind(',', close);
  const auto end = line.find(">:", close);
  if (comma == std::string_view::npos || end == std::string_view::npos) return own;
  const auto number = line.substr(comma + 1, close - comma - 1), stream = line.substr(close + 2, end - close - 2);
  if (number.empty() || number.find_first_not_of("0123456789") != std::string_view::npos) return own;
  if (stream != "stdout" && stream != "stderr" && stream != "stddiag") return own;
  auto text = line.substr(end + 2);
  if (major >= 5 && text.starts_with(' ')) text.remove_prefix(1);
  return {.rank = leading_number(number), .to_stdout = stream == "stdout", .text = text};
}

std::string lost_host_told(std::string_view line) {
  if (line.find("Remote daemon:") != std::string_view::npos) return std::string(word_after(line, " on node "));
  for (const auto* key : {"ssh: connect to host ", "ssh: Could not resolve hostname "})
    if (line.find(key) != std::string_view::npos) {
      auto name = std::string(word_after(line, key));
      if (name.ends_with(':')) name.pop_back();
      return name;
    }
  return "";
}

}  // namespace herd
