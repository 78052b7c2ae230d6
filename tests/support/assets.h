#pragma once
#include <filesystem>

namespace herd::test {

/// The checkout.
std::filesystem::path source_dir();
/// Real material beside the checkout (../shared/assets); may be missing.
std::filesystem::path assets();

}  // namespace herd::test

/// Skips the test, visibly, where the asset is not there.
#define HERD_NEED_ASSET(relative) \
  if (!std::filesystem::exists(herd::test::assets() / (relative))) GTEST_SKIP() << "no ../shared/assets/" << (relative)
