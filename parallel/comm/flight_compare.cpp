#include "parallel/comm/flight_compare.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "runtime/base/error.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

// A watchdog says four times a second that its rank lives.
constexpr std::int64_t kSilenceUs = 1'500'000;
// What was silent and woke up long before its end did not lead to it.
constexpr std::int64_t kRecentUs = 5'000'000;

std::string who(const Flight& f) { return fmt::format("rank {} on {}", f.rank, f.host); }
std::string what(const FlightRecord& r) { return fmt::format("{} #{}", r.text, r.sequence); }

void missing(const std::vector<Flight>& flights, std::vector<std::string>& findings) {
  std::set<int> present;
  int size = 0;
  for (const auto& f : flights) present.insert(f.rank), size = std::max(size, f.size);
  for (int rank = 0; rank < size; ++rank)
    if (!present.contains(rank)) findings.push_back(fmt::format("rank {} has left no log", rank));
}

void silent(const std::vector<Flight>& flights, std::vector<std::string>& findings) {
  std::int64_t last = 0;
  for (const auto& f : flights) last = std::max(last, f.alive_us);
  for (const auto& f : flights) {
    if (f.silent_us >= kSilenceUs && f.alive_us - f.silent_until_us < kRecentUs)
      findings.push_back(fmt::format("{} was silent for {:.1f} s until {}: stopped, or without a CPU", who(f),
                                     static_cast<double>(f.silent_us) / 1e6, clock_text(f.silent_until_us)));
    if (!f.alive_us || last - f.alive_us < kSilenceUs) continue;
    findings.push_back(fmt::format("{} fell silent at {}, {:.1f} s before the last of the others: stopped, killed, or its host was", who(f),
                                   clock_text(f.alive_us), static_cast<double>(last - f.alive_us) / 1e6));
  }
}

using Lasts = std::vector<std::pair<const Flight*, const FlightRecord*>>;

std::map<std::string, Lasts> last_of_groups(const std::vector<Flight>& flights) {
  std::map<std::string, Lasts> groups;
  for (const auto& f : flights) {
    std::map<std::string, const FlightRecord*> lasts;
    for (const auto& record : f.records) {
      auto& last = lasts[record.group];
      if (!last || record.sequence > last->sequence) last = &record;
    }
    for (const auto& [group, record] : lasts) groups[group].emplace_back(&f, record);
  }
  return groups;
}

void lag(const std::string& group, const Lasts& lasts, std::vector<std::string>& findings) {
  const auto ahead =
      std::max_element(lasts.begin(), lasts.end(), [](const auto& a, const auto& b) { return a.second->sequence < b.second->sequence; });
  for (const auto& [flight, record] : lasts) {
    if (record->sequence == ahead->second->sequence) continue;
    const auto* done = record->state == FlightRecord::kDone ? "done" : "not done";
    findings.push_back(fmt::format("{} lags: it has not entered {} of {}, which {} entered at {}; its last was {}, {}{}", who(*flight),
                                   what(*ahead->second), group, who(*ahead->first), clock_text(ahead->second->entered_us), what(*record),
                                   done, flight->activity.empty() ? "" : "; it was in: " + flight->activity));
  }
}

// Everybody came, and yet it failed.
void failed(const std::string& group, const Lasts& lasts, std::vector<std::string>& findings) {
  for (const auto& [flight, record] : lasts) {
    if (record->state != FlightRecord::kFailed) continue;
    findings.push_back(fmt::format("all ranks entered {} of {}, which failed on {}: the network between them, or a rank that was stopped in it",
                                   what(*record), group, who(*flight)));
    return;
  }
}

// What each rank entered as the last number that all have entered.
Lasts common(const std::string& group, const Lasts& lasts) {
  std::uint64_t number = ~0ull;
  for (const auto& [flight, record] : lasts) number = std::min(number, record->sequence);
  Lasts all;
  for (const auto& [flight, last] : lasts)
    for (const auto& record : flight->records)
      if (record.sequence == number && group == record.group) all.emplace_back(flight, &record);
  return all;
}

void late(const std::string& group, const Lasts& lasts, std::vector<std::string>& findings) {
  const auto all = common(group, lasts);
  if (std::none_of(all.begin(), all.end(), [](const auto& entry) { return entry.second->state == FlightRecord::kFailed; })) return;
  const auto first =
      std::min_element(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.second->entered_us < b.second->entered_us; });
  for (const auto& [flight, record] : all) {
    const auto behind = record->entered_us - first->second->entered_us;
    if (behind < kSilenceUs) continue;
    findings.push_back(fmt::format("{} was late: it entered {} of {} {:.1f} s after {}, and it failed there", who(*flight), what(*record), group,
                                   static_cast<double>(behind) / 1e6, who(*first->first)));
  }
}

void disagree(const std::string& group, const Lasts& lasts, std::vector<std::string>& findings) {
  std::map<std::string, std::vector<std::string>> sides;
  for (const auto& [flight, record] : common(group, lasts)) sides[record->text].push_back(who(*flight));
  if (sides.size() < 2) return;
  const auto number = common(group, lasts).front().second->sequence;
  std::string text = fmt::format("the ranks disagree on #{} of {}", number, group);
  for (const auto& [entered, ranks] : sides)
    text += fmt::format("{} {} entered {}", &entered == &sides.begin()->first ? ":" : ";", fmt::join(ranks, ", "), entered);
  findings.push_back(text);
}

}  // namespace

std::string clock_text(std::int64_t us) {
  if (!us) return "-";
  return fmt::format("{:%H:%M:%S}.{:03}", fmt::gmtime(static_cast<std::time_t>(us / 1'000'000)), us / 1000 % 1000);
}

std::vector<Flight> read_flights(const fs::path& folder) {
  std::vector<Flight> flights;
  std::error_code missing;
  for (const auto& entry : fs::directory_iterator(folder, missing))
    if (entry.path().extension() == ".flight") flights.push_back(read_flight(entry.path()));
  if (flights.empty())
    throw IoError({.who = folder.string(),
                   .found = missing ? "no such folder" : "no flight log",
                   .expected = "rank-N.flight files, as herd train leaves them in RUN/flight",
                   .remedy = ""});
  std::sort(flights.begin(), flights.end(), [](const auto& a, const auto& b) { return a.rank < b.rank; });
  return flights;
}

std::vector<std::string> compare_flights(const std::vector<Flight>& flights) {
  std::vector<std::string> findings;
  missing(flights, findings);
  silent(flights, findings);
  for (const auto& [group, lasts] : last_of_groups(flights)) {
    disagree(group, lasts, findings);
    lag(group, lasts, findings);
    late(group, lasts, findings);
  }
  if (!findings.empty()) return findings;
  for (const auto& [group, lasts] : last_of_groups(flights)) failed(group, lasts, findings);
  return findings;
}

}  // namespace herd
