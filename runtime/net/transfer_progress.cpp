#include "runtime/net/transfer_progress.h"

#include <algorithm>

#include "runtime/base/log.h"
#include "runtime/base/process.h"
#include "runtime/base/text.h"
#include "runtime/report/progress.h"

namespace herd {
namespace {

constexpr auto kRedrawEvery = std::chrono::milliseconds(100);
constexpr auto kLogEvery = std::chrono::seconds(10);
constexpr std::size_t kLogColumns = 200;

}  // namespace

std::string render_transfer(std::uint64_t all, std::uint64_t here, double bytes_per_s, const std::string& name, std::size_t columns) {
  const auto percent = all > 0 ? 100.0 * static_cast<double>(std::min(here, all)) / static_cast<double>(all) : 100.0;
  const auto left_s = bytes_per_s > 0 ? static_cast<double>(all - std::min(here, all)) / bytes_per_s : -1;
  return fmt::format("{:.0f}% of {}  {}/s  eta {}  {}", percent, human_bytes(all), human_bytes(static_cast<std::uint64_t>(bytes_per_s)),
                     human_time(left_s), name)
      .substr(0, columns);
}

TransferProgress::TransferProgress(std::uint64_t all, std::uint64_t here)
    : all_(all), here_(here), on_terminal_(terminal_columns().has_value()) {}

TransferProgress::~TransferProgress() {
  if (on_terminal_) show_status_line("");
}

void TransferProgress::add(std::int64_t bytes) {
  here_ += static_cast<std::uint64_t>(bytes);
  if (bytes > 0) came_ += static_cast<std::uint64_t>(bytes);
  const auto now = Clock::now();
  if (now - told_ < (on_terminal_ ? Clock::duration(kRedrawEvery) : Clock::duration(kLogEvery))) return;
  told_ = now;
  const auto pace = static_cast<double>(came_) / std::chrono::duration<double>(now - began_).count();
  const auto columns = on_terminal_ ? static_cast<std::size_t>(std::max(terminal_columns().value_or(80) - 1, 0)) : kLogColumns;
  auto line = render_transfer(all_, here_, pace, name_, columns);
  if (on_terminal_) show_status_line(std::move(line));
  else log_info("{}", line);
}

}  // namespace herd
