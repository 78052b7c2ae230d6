#include "launch/launcher/hosts.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>

#include "runtime/base/error.h"
#include "runtime/base/file.h"
#include "runtime/base/process.h"

namespace herd {
namespace {

std::optional<int> whole(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

void add(Hosts& hosts, const Host& host) {
  const auto same = std::find_if(hosts.begin(), hosts.end(), [&](const Host& h) { return h.name == host.name; });
  if (same == hosts.end()) hosts.push_back(host);
  else same->slots += host.slots;
}

ConfigError bad_host(const std::string& who, std::string_view found) {
  return ConfigError({.who = who, .found = fmt::format("'{}'", found), .expected = "a host's name and its slots, such as node7:8", .remedy = ""});
}

Host parse_host(std::string_view text, const std::string& who) {
  const auto colon = text.find(':');
  const auto name = text.substr(0, colon);
  const auto count = colon == std::string_view::npos ? std::optional(1) : whole(text.substr(colon + 1));
  // A name that begins with a dash would be an option of whatever program it is handed to.
  if (name.empty() || name.front() == '-' || name.find_first_of(" \t/") != std::string_view::npos || !count || *count < 1) throw bad_host(who, text);
  return {.name = std::string(name), .slots = *count};
}

std::vector<std::string_view> cut(std::string_view text, std::string_view at) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto end = text.find_first_of(at);
    if (end != 0 && !text.empty()) parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

// Commas inside brackets belong to one name.
std::vector<std::string_view> cut_outside_brackets(std::string_view text) {
  std::vector<std::string_view> parts;
  std::size_t begin = 0;
  bool inside = false;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && (text[i] == '[' || text[i] == ']')) inside = text[i] == '[';
    if (i < text.size() && (text[i] != ',' || inside)) continue;
    if (i > begin) parts.push_back(text.substr(begin, i - begin));
    begin = i + 1;
  }
  return parts;
}

ConfigError bad_slurm(const std::string& variable, std::string_view found) {
  return ConfigError({.who = variable, .found = fmt::format("'{}'", found), .expected = "what SLURM sets in a job", .remedy = "name the hosts: --hosts a:8,b:8"});
}

// `n[08-10,12]-ib` → n08-ib, n09-ib, n10-ib, n12-ib.
std::vector<std::string> expand(std::string_view part) {
  const auto open = part.find('['), close = part.find(']');
  if (open == std::string_view::npos) return {std::string(part)};
  if (close == std::string_view::npos || close < open) throw bad_slurm("SLURM_JOB_NODELIST", part);
  std::vector<std::string> names;
  for (const auto range : cut(part.substr(open + 1, close - open - 1), ",")) {
    const auto dash = range.find('-');
    const auto low = range.substr(0, dash);
    const auto from = whole(low), to = dash == std::string_view::npos ? from : whole(range.substr(dash + 1));
    if (!from || !to || *to < *from || *to - *from > 1'000'000) throw bad_slurm("SLURM_JOB_NODELIST", part);
    for (int i = *from; i <= *to; ++i)
      for (const auto& rest : expand(part.substr(close + 1))) names.push_back(fmt::format("{}{:0{}}{}", part.substr(0, open), i, low.size(), rest));
  }
  return names;
}

std::vector<int> expand_counts(std::string_view text) {
  std::vector<int> counts;
  for (const auto part : cut(text, ",")) {
    const auto open = part.find("(x");
    const auto count = whole(part.substr(0, open));
    const auto times = open == std::string_view::npos ? std::optional(1) : whole(part.substr(open + 2, part.size() - open - 3));
    if (!count || !times || *count < 1 || *times < 1 || *times > 1'000'000) throw bad_slurm("SLURM_TASKS_PER_NODE", text);
    counts.insert(counts.end(), static_cast<std::size_t>(*times), *count);
  }
  return counts;
}

Hosts fill(const Hosts& hosts, int ranks) {
  Hosts placed;
  for (const auto& host : hosts) {
    const int here = std::min(host.slots, ranks);
    if (here > 0) placed.push_back({.name = host.name, .slots = here});
    ranks -= here;
  }
  return placed;
}

// As many on each host: the number of hosts that gives most ranks.
Hosts fill_evenly(Hosts hosts, int wanted) {
  Hosts best;
  while (!hosts.empty()) {
    const auto least = std::min_element(hosts.begin(), hosts.end(), [](const Host& a, const Host& b) { return a.slots < b.slots; });
    auto even = hosts;
    for (auto& host : even) host.slots = std::min(least->slots, wanted / static_cast<int>(hosts.size()));
    if (slots(even) > slots(best)) best = even;
    // A host with little room holds the others back; where none does, the last goes: fewer hosts may divide `wanted` better.
    hosts.erase(least->slots < hosts.back().slots ? least : std::prev(hosts.end()));
  }
  return best;
}

}  // namespace

Hosts parse_hosts(std::string_view text) {
  Hosts hosts;
  for (const auto part : cut(text, ",")) add(hosts, parse_host(part, "--hosts"));
  if (hosts.empty()) throw bad_host("--hosts", text);
  return hosts;
}

Hosts read_hostfile(const std::filesystem::path& file) {
  Hosts hosts;
  const auto content = read_file(file);
  std::string_view rest = content;
  for (int number = 1; !rest.empty(); ++number) {
    const auto end = rest.find('\n');
    auto line = rest.substr(0, end);
    rest = end == std::string_view::npos ? "" : rest.substr(end + 1);
    line = line.substr(0, line.find('#'));
    const auto words = cut(line, " \t\r");
    if (words.empty()) continue;
    const auto who = fmt::format("{}:{}", file.string(), number);
    auto host = parse_host(words[0], who);
    for (std::size_t i = 1; i < words.size(); ++i) {
      const auto count = words[i].starts_with("slots=") ? whole(words[i].substr(6)) : std::nullopt;
      if (!count || *count < 1) throw ConfigError({.who = who, .found = fmt::format("'{}'", words[i]), .expected = "slots=NUMBER", .remedy = ""});
      host.slots = *count;
    }
    add(hosts, host);
  }
  if (hosts.empty()) throw ConfigError({.who = file.string(), .found = "no host", .expected = "a host a line, such as 'node7 slots=8'", .remedy = ""});
  return hosts;
}

Hosts slurm_hosts(std::string_view nodes, std::string_view tasks_per_node) {
  std::vector<std::string> names;
  for (const auto part : cut_outside_brackets(nodes))
    for (auto& name : expand(part)) names.push_back(std::move(name));
  const auto counts = expand_counts(tasks_per_node);
  if (names.empty() || counts.size() != names.size()) throw bad_slurm("SLURM_TASKS_PER_NODE", tasks_per_node);
  Hosts hosts;
  for (std::size_t i = 0; i < names.size(); ++i) add(hosts, {.name = names[i], .slots = counts[i]});
  return hosts;
}

int slots(const Hosts& hosts) {
  int sum = 0;
  for (const auto& host : hosts) sum += host.slots;
  return sum;
}

std::string text(const Hosts& hosts) {
  std::string out;
  for (const auto& host : hosts) out += fmt::format("{}{}:{}", out.empty() ? "" : ",", host.name, host.slots);
  return out;
}

Hosts without(const Hosts& hosts, const std::vector<std::string>& names) {
  auto left = hosts;
  std::erase_if(left, [&](const Host& host) { return std::find(names.begin(), names.end(), host.name) != names.end(); });
  return left;
}

bool is_here(const std::string& name) {
  const auto own = host_name();
  if (name == "localhost" || name == own || name == own.substr(0, own.find('.')) || own == name.substr(0, name.find('.'))) return true;
  in_addr address{};
  if (inet_pton(AF_INET, name.c_str(), &address) != 1) return false;
  ifaddrs* first = nullptr;
  if (getifaddrs(&first) != 0) return false;
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> all(first, freeifaddrs);
  for (const auto* i = first; i; i = i->ifa_next)
    if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET && reinterpret_cast<const sockaddr_in*>(i->ifa_addr)->sin_addr.s_addr == address.s_addr) return true;
  return false;
}

Hosts place_ranks(const Hosts& hosts, int wanted, const Spread& spread) {
  int ranks = std::min(wanted, slots(hosts));
  if (spread.strategy != "hsdp") return fill(hosts, ranks);
  if (spread.shard_degree == 0) return fill_evenly(hosts, wanted);
  ranks -= ranks % static_cast<int>(spread.shard_degree);
  return fill(hosts, ranks);
}

}  // namespace herd
