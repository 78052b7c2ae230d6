#pragma once
#include <exception>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "parallel/comm/communicator.h"

namespace herd {

/// Every rank's string, by rank, on every rank. Blocks.
std::vector<std::string> all_gather_string(Communicator& communicator, std::string_view text);
/// Rank `root`'s string, on every rank. Blocks.
std::string broadcast_string(Communicator& communicator, std::string_view text, int root = 0);

/// Throws on all ranks where any rank brings an error: the error of the lowest rank that has one of its own (a CommError is taken only
/// where there is no other), of its own type (ConfigError, DataError, …; Error for what is not herd's), with `rank 3: ` before it unless
/// all ranks bring the same words. Blocks. Where the ranks cannot talk any more, the local error is thrown.
void agree_on(Communicator& communicator, std::exception_ptr local_error);

/// Runs `local_work` and returns its result, or throws the same first cause on every rank: nobody goes on, into a collective that the
/// others never enter, after one has failed. For set-up, load and save. `local_work` itself makes no collective calls.
template <class Work>
auto agree(Communicator& communicator, Work&& local_work) -> std::invoke_result_t<Work> {
  std::exception_ptr error;
  if constexpr (std::is_void_v<std::invoke_result_t<Work>>) {
    try {
      std::forward<Work>(local_work)();
    } catch (...) {
      error = std::current_exception();
    }
    agree_on(communicator, error);
  } else {
    std::optional<std::invoke_result_t<Work>> result;
    try {
      result.emplace(std::forward<Work>(local_work)());
    } catch (...) {
      error = std::current_exception();
    }
    agree_on(communicator, error);
    return std::move(*result);
  }
}

}  // namespace herd
