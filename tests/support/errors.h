#pragma once
#include <gtest/gtest.h>

#include <string>

namespace herd::test {

inline constexpr const char* kNoError = "no error";

/// What `action` ends with: the text of a `Wanted` error, or kNoError. Another kind of error passes through and fails the test by itself.
template <class Wanted>
std::string outcome_of(const auto& action) {
  try {
    action();
  } catch (const Wanted& error) {
    return error.what();
  }
  return kNoError;
}

/// The same where only the error will do.
template <class Wanted>
std::string message_of(const auto& action) {
  const auto outcome = outcome_of<Wanted>(action);
  EXPECT_NE(outcome, kNoError);
  return outcome;
}

}  // namespace herd::test
