#include "launch/launcher/doctor_links.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "runtime/base/file.h"

namespace herd {
namespace {

constexpr double kNothing = 1e-3;  // s: less is noise

bool is_between(const LinkTime& link) { return link.a != link.b; }

double lower_quartile(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[(values.size() - 1) / 4];
}

// A link beside what it usually takes; 0 where there is nothing to hold it against.
struct Measured {
  LinkTime time;
  double usual = 0;

  bool slow(double ratio) const { return usual > 0 && time.seconds > ratio * usual && time.seconds > usual + kNothing; }
  double factor() const { return usual > 0 ? time.seconds / usual : 1; }
  bool touches(const std::string& host) const { return is_between(time) && (time.a == host || time.b == host); }
  std::string pace() const { return fmt::format("{:.1f} ms for an all-reduce", 1e3 * time.seconds); }
};

std::vector<Measured> beside_usual(const std::vector<LinkTime>& times, const Baseline& baseline) {
  std::vector<double> between;
  for (const auto& time : times)
    if (is_between(time)) between.push_back(time.seconds);
  const auto quartile = between.size() < 3 ? 0 : lower_quartile(between);
  std::vector<Measured> links;
  for (const auto& time : times) {
    const auto stored = baseline.find(time.name());
    links.push_back({time, stored != baseline.end() ? stored->second : is_between(time) ? quartile : 0});
  }
  return links;
}

struct HostPace {
  std::string host;
  double factor = 0;
};

// The slowest host: more than half of its links, two at least, are slow, and it stands out from links that are not its own.
HostPace slow_host(const std::vector<Measured>& links, double ratio) {
  HostPace worst;
  for (const auto& link : links)
    for (const auto& host : {link.time.a, link.time.b}) {
      std::vector<double> own, others;
      std::size_t slow = 0;
      for (const auto& other : links) {
        if (!is_between(other.time)) continue;
        (other.touches(host) ? own : others).push_back(other.factor());
        slow += other.touches(host) && other.slow(ratio);
      }
      if (own.size() < 2 || others.empty() || 2 * slow <= own.size()) continue;
      std::sort(own.begin(), own.end());
      const auto factor = own[(own.size() - 1) / 2];
      if (factor > ratio * lower_quartile(others) && factor > worst.factor) worst = {host, factor};
    }
  return worst;
}

nlohmann::ordered_json parse_file(const std::filesystem::path& file) {
  try {
    return nlohmann::ordered_json::parse(read_file(file));
  } catch (const nlohmann::json::exception&) {
    throw IoError({.who = file.string(), .found = "no JSON", .expected = "what herd doctor wrote", .remedy = "remove it: the next check makes it anew"});
  }
}

}  // namespace

LinkJudgement judge_links(const std::vector<LinkTime>& times, const Baseline& baseline, double ratio) {
  auto links = beside_usual(times, baseline);
  LinkJudgement judgement;
  for (auto found = slow_host(links, ratio); !found.host.empty(); found = slow_host(links, ratio)) {
    const auto of_host = [&](const Measured& link) { return link.touches(found.host); };
    const auto slower = [&](const Measured& a, const Measured& b) { return of_host(a) < of_host(b) || (of_host(a) == of_host(b) && a.time.seconds < b.time.seconds); };
    const auto worst = std::max_element(links.begin(), links.end(), slower);
    const auto count = std::count_if(links.begin(), links.end(), [&](const Measured& link) { return of_host(link) && link.slow(ratio); });
    judgement.findings.push_back({found.host, fmt::format("up to {}, over {} of its links", worst->pace(), count), fmt::format("some {:.1f} ms", 1e3 * worst->usual),
                                  "look at its network and at what else runs there; --leave-out-slow goes without it"});
    judgement.slow_hosts.push_back(found.host);
    std::erase_if(links, of_host);
  }
  for (const auto& link : links) {
    if (!link.slow(ratio)) continue;
    const auto where = is_between(link.time) ? fmt::format("between {} and {}", link.time.a, link.time.b) : link.time.name();
    judgement.findings.push_back({where, link.pace(), fmt::format("some {:.1f} ms", 1e3 * link.usual), "look at what they share: cable, switch, port"});
  }
  return judgement;
}

Baseline read_baseline(const std::filesystem::path& file, std::int64_t bytes) {
  if (!std::filesystem::exists(file)) return {};
  const auto all = parse_file(file);
  const auto found = all.find(std::to_string(bytes));
  try {
    return found == all.end() ? Baseline() : found->get<Baseline>();
  } catch (const nlohmann::json::exception&) {
    throw IoError({.who = file.string(), .found = "something else", .expected = "seconds by link", .remedy = "remove it: the next check makes it anew"});
  }
}

void store_baseline(const std::filesystem::path& file, std::int64_t bytes, const std::vector<LinkTime>& times, bool replace) {
  auto all = std::filesystem::exists(file) ? parse_file(file) : nlohmann::ordered_json::object();
  auto stored = replace ? Baseline() : read_baseline(file, bytes);
  for (const auto& time : times) stored.emplace(time.name(), time.seconds);
  all[std::to_string(bytes)] = stored;
  make_folder(std::filesystem::absolute(file).parent_path());
  write_file_atomically(file, all.dump(2) + "\n");
}

}  // namespace herd
