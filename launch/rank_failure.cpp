#include "launch/rank_failure.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <thread>

#include "runtime/base/error.h"
#include "runtime/base/exit_codes.h"
#include "runtime/base/log.h"

namespace herd {
namespace {

int code_of(const std::exception& error) { return dynamic_cast<const ConfigError*>(&error) ? kExitUsage : kExitFailure; }

bool on_all_ranks(const std::exception& error, const Communicator& communicator) {
  const auto* ours = dynamic_cast<const Error*>(&error);
  return communicator.size() == 1 || (ours && ours->complaint().everywhere);
}

}  // namespace

int fail_on_rank(const std::exception& error, const RunFolder* folder, Communicator& communicator) {
  const auto rank = communicator.rank();
  if (on_all_ranks(error, communicator)) {
    communicator.stop_watching();
    if (rank != 0) return code_of(error);
    if (folder) write_cause(*folder, rank, error.what());
    show_status_line("");
    std::fprintf(stderr, "error: %s\n", error.what());
    return code_of(error);
  }
  const bool talk_failed = dynamic_cast<const CommError*>(&error) && folder;
  const bool consequence = talk_failed && first_cause(*folder);
  if (folder) write_cause(*folder, rank, error.what());
  const auto message = fmt::format("error: rank {}: {}", rank, error.what());
  const auto hint = talk_failed ? fmt::format("\nherd flight {} shows what each rank did last", folder->root().string()) : "";
  communicator.abort(code_of(error), consequence ? "" : message + hint);
  __builtin_unreachable();  // gcc does not believe [[noreturn]] of a virtual function
}

std::function<void(const std::string&)> last_words(const RunFolder& folder, int rank, const Signals& signals) {
  return [folder, rank, &signals](const std::string& cause) {
    constexpr auto kTogether = std::chrono::milliseconds(100);  // several ranks see one rank go: the earliest of them tells it
    const auto signal = signals.pending();
    write_cause(folder, rank, signal == Signal::none ? cause : fmt::format("{}, after {} came", cause, name(signal)));
    std::this_thread::sleep_for(kTogether);
    const auto first = first_cause(folder);
    const bool tells = !first || first->rank == rank;  // without a folder to write to, each does
    if (tells && signal == Signal::none) std::fprintf(stderr, "error: rank %d: %s\n", rank, cause.c_str());
  };
}

}  // namespace herd
