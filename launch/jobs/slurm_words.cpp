#include "launch/jobs/slurm_words.h"

#include <limits>
#include <regex>
#include <set>

#include "runtime/base/error.h"

namespace herd {
namespace {

double number(const std::ssub_match& part) { return part.matched ? std::stod(part.str()) : 0; }

[[noreturn]] void refuse_array(const std::string& text, const std::string& found) {
  throw ConfigError({.who = "--array " + text,
                     .found = found,
                     .expected = "indices such as 0-7, 1,3,5 or 0-15:4, and %2 behind them for two at once",
                     .remedy = ""});
}

}  // namespace

std::optional<double> slurm_time_s(const std::string& text) {
  static const std::regex unlimited("UNLIMITED|INFINITE", std::regex::icase);
  static const std::regex with_days(R"((\d{1,6})-(\d{1,2})(?::(\d{1,2})(?::(\d{1,2}))?)?)"), clock(R"((?:(\d{1,6}):)?(\d{1,6}):(\d{1,2}))"),
      minutes(R"(\d{1,8})");
  std::smatch found;
  double seconds = 0;
  if (std::regex_match(text, unlimited)) return std::numeric_limits<double>::infinity();
  if (std::regex_match(text, found, with_days))
    seconds = 86400 * number(found[1]) + 3600 * number(found[2]) + 60 * number(found[3]) + number(found[4]);
  else if (std::regex_match(text, found, clock)) seconds = 3600 * number(found[1]) + 60 * number(found[2]) + number(found[3]);
  else if (std::regex_match(text, minutes)) seconds = 60 * std::stod(text);
  return seconds > 0 ? std::optional(seconds) : std::nullopt;
}

std::vector<std::int64_t> array_indices(const std::string& text) {
  static const std::regex whole(R"(\d{1,9}(-\d{1,9}(:\d{1,9})?)?(,\d{1,9}(-\d{1,9}(:\d{1,9})?)?)*(%\d{1,9})?)"),
      part(R"((\d+)(?:-(\d+)(?::(\d+))?)?)");
  if (!std::regex_match(text, whole)) refuse_array(text, "no list of indices");
  const auto list = text.substr(0, text.find('%'));
  std::vector<std::int64_t> indices;
  std::set<std::int64_t> seen;
  for (std::sregex_iterator at(list.begin(), list.end(), part), end; at != end; ++at) {
    const auto first = std::stoll((*at)[1]), last = (*at)[2].matched ? std::stoll((*at)[2]) : first,
               step = (*at)[3].matched ? std::stoll((*at)[3]) : 1;
    if (last < first || step == 0) refuse_array(text, "'" + at->str() + "'");
    for (auto index = first; index <= last; index += step) {
      if (!seen.insert(index).second) refuse_array(text, std::to_string(index) + " twice");
      if (static_cast<std::int64_t>(seen.size()) > kMostElements)
        refuse_array(text, "more than " + std::to_string(kMostElements) + " indices");
      indices.push_back(index);
    }
  }
  return indices;
}

bool is_job_id(const std::string& text) {
  static const std::regex form(R"(\d{1,10}(_\d{1,9})?)");
  return std::regex_match(text, form);
}

}  // namespace herd
