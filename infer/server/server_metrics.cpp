#include "infer/server/server_metrics.h"

#include <fmt/format.h>

#include <algorithm>

namespace herd {
namespace {

std::int64_t second_now() { return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

void head(std::string& out, const char* name, const char* type, const char* what) { out += fmt::format("# HELP {0} {2}\n# TYPE {0} {1}\n", name, type, what); }

template <class T>
void line(std::string& out, const char* name, const char* type, const char* what, T value) {
  head(out, name, type, what);
  out += fmt::format("{} {}\n", name, value);
}

}  // namespace

void ServerMetrics::answered(const std::string& path, int code) {
  const std::scoped_lock lock(mutex_);
  ++answered_[{path, code}];
}

void ServerMetrics::read_tokens(std::size_t count) {
  const std::scoped_lock lock(mutex_);
  read_tokens_ += count;
}

void ServerMetrics::made_tokens(std::size_t count) {
  const std::scoped_lock lock(mutex_);
  made_tokens_ += count;
  const auto number = second_now();
  auto& second = seconds_[static_cast<std::size_t>(number) % seconds_.size()];
  if (second.number != number) second = {.number = number};
  second.tokens += count;
}

void ServerMetrics::first_token(double seconds) {
  const std::scoped_lock lock(mutex_);
  const auto bound = std::ranges::lower_bound(kBounds, seconds);
  if (bound != kBounds.end()) ++first_[static_cast<std::size_t>(bound - kBounds.begin())];
  ++first_count_;
  first_sum_s_ += seconds;
}

// Of whole seconds that are over.
double ServerMetrics::tokens_a_second() const {
  const auto now = second_now();
  std::uint64_t tokens = 0;
  for (const auto& second : seconds_)
    if (second.number >= now - kWindow && second.number < now) tokens += second.tokens;
  return static_cast<double>(tokens) / static_cast<double>(kWindow);
}

std::string ServerMetrics::text(const Now& now) const {
  const std::scoped_lock lock(mutex_);
  std::string out;
  head(out, "herd_requests_total", "counter", "Answers by route and status.");
  for (const auto& [what, count] : answered_) out += fmt::format("herd_requests_total{{path=\"{}\",code=\"{}\"}} {}\n", what.first, what.second, count);
  line(out, "herd_prompt_tokens_total", "counter", "Tokens of the prompts that were accepted.", read_tokens_);
  line(out, "herd_generated_tokens_total", "counter", "Tokens that were made.", made_tokens_);
  line(out, "herd_generated_tokens_per_second", "gauge", "The same over the last ten seconds.", tokens_a_second());
  line(out, "herd_requests_waiting", "gauge", "Requests of which a text is yet to begin.", now.waiting);
  line(out, "herd_texts_growing", "gauge", "Texts under way.", now.growing);
  line(out, "herd_ready", "gauge", "1 where /health says so.", now.ready ? 1 : 0);
  constexpr const char* kFirst = "herd_time_to_first_token_seconds";
  head(out, kFirst, "histogram", "From a request's acceptance to its first text.");
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < kBounds.size(); ++i) out += fmt::format("{}_bucket{{le=\"{}\"}} {}\n", kFirst, kBounds[i], below += first_[i]);
  out += fmt::format("{0}_bucket{{le=\"+Inf\"}} {1}\n{0}_sum {2}\n{0}_count {1}\n", kFirst, first_count_, first_sum_s_);
  return out;
}

}  // namespace herd
