#include "runtime/report/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "runtime/base/log.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

constexpr auto kRedrawEvery = std::chrono::milliseconds(100);
constexpr int kMinBar = 10, kMaxBar = 40;
constexpr std::size_t kMoreThanABar = 5;  // so many of the facts are worth more than the bar

std::string count_of(const ProgressState& s) {
  return s.steps > 0 ? fmt::format("step {}/{}", s.step, s.steps) : fmt::format("step {}", s.step);
}

// What matters most comes first: a narrow terminal loses the rest.
std::vector<std::string> facts(const ProgressState& s) {
  std::vector<std::string> out{count_of(s), fmt::format("loss {:.4f}", s.loss)};
  if (s.eta_s >= 0) out.push_back("eta " + human_time(s.eta_s));
  out.push_back(with_thousands(std::llround(std::isfinite(s.tokens_per_s) ? s.tokens_per_s : 0)) + " tok/s");
  if (s.memory.resident > 0) out.push_back("mem " + human_bytes(s.memory.resident));
  out.push_back(fmt::format("lr {:.2e}", s.learning_rate));
  if (s.memory.peak > 0) out.push_back("peak mem " + human_bytes(s.memory.peak));
  return out;
}

double done(const ProgressState& s) { return std::clamp(static_cast<double>(s.step) / static_cast<double>(s.steps), 0.0, 1.0); }

std::string bar(double fraction, int width) {
  const auto filled = static_cast<std::size_t>(fraction * width);
  const auto all = static_cast<std::size_t>(width);
  std::string out = "[" + std::string(filled, '=');
  if (filled < all) out += '>' + std::string(all - filled - 1, ' ');
  return out + "] ";
}

}  // namespace

std::string human_time(double seconds) {
  if (!(seconds >= 0) || !std::isfinite(seconds) || seconds > 1e9) return "?";
  const auto s = std::llround(seconds);
  if (s >= 86400) return fmt::format("{}d {}h", s / 86400, s / 3600 % 24);
  if (s >= 3600) return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
  return fmt::format("{}:{:02}", s / 60, s % 60);
}

std::string render_line(const ProgressState& state) { return fmt::format("{}", fmt::join(facts(state), "  ")); }

std::string render_bar(const ProgressState& state, int columns) {
  auto parts = facts(state);
  const auto percent = state.steps > 0 ? fmt::format("{:3.0f}% ", std::floor(100 * done(state))) : std::string();
  auto text = fmt::format("{}", fmt::join(parts, "  "));
  // The last column stays free: many terminals wrap when it is written.
  const auto room = [&] { return columns - 1 - static_cast<int>(percent.size() + text.size()); };
  const auto wanted = [&] { return state.steps > 0 && parts.size() > kMoreThanABar ? kMinBar + 3 : 0; };
  while (room() < wanted() && parts.size() > 1) {
    parts.pop_back();
    text = fmt::format("{}", fmt::join(parts, "  "));
  }
  if (room() < 0) return text.substr(0, static_cast<std::size_t>(std::max(columns - 1, 0)));
  const int width = std::min(room() - 3, kMaxBar);  // 3 for "[" and "] "
  return percent + (state.steps > 0 && width >= kMinBar ? bar(done(state), width) : "") + text;
}

Progress::Progress(std::int64_t first_step, std::int64_t steps, std::int64_t every)
    : first_step_(first_step), every_(std::max<std::int64_t>(every, 1)), on_terminal_(terminal_columns().has_value()) {
  state_.steps = steps;
}

Progress::~Progress() {
  show_status_line("");
  if (!logged_) log_line(0, render_line(state_));
}

double Progress::eta_s(std::int64_t step) const {
  const auto here = step - first_step_;
  if (state_.steps <= 0 || here <= 0) return -1;
  const double elapsed_s = std::chrono::duration<double>(Clock::now() - began_).count();
  return elapsed_s / static_cast<double>(here) * static_cast<double>(std::max<std::int64_t>(state_.steps - step, 0));
}

void Progress::update(std::int64_t step, double loss, double learning_rate, double tokens_per_s) {
  state_ = {.step = step,
            .steps = state_.steps,
            .loss = loss,
            .learning_rate = learning_rate,
            .tokens_per_s = tokens_per_s,
            .eta_s = eta_s(step),
            .memory = process_memory()};
  logged_ = !on_terminal_ && (step % every_ == 0 || step == state_.steps);
  if (logged_) log_line(0, render_line(state_));
  const auto now = Clock::now();
  if (!on_terminal_ || (now - drawn_ < kRedrawEvery && step != state_.steps)) return;
  drawn_ = now;
  show_status_line(render_bar(state_, terminal_columns().value_or(80)));  // asked anew: windows are resized
}

}  // namespace herd
