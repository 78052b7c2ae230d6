#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/file.h"
#include "tests/support/errors.h"
#include "tests/support/scratch.h"

namespace herd::test {

/// A folder of one's own with files written by the test.
class TextFiles : public testing::Test {
 protected:
  std::filesystem::path file(const std::string& name, std::string_view text) const {
    std::ofstream(scratch_ / name, std::ios::binary) << text;
    return scratch_ / name;
  }
  std::filesystem::path output() const { return scratch_ / "out"; }
  std::string written() const { return read_file(output()); }
  std::vector<nlohmann::json> written_objects() const {
    std::vector<nlohmann::json> objects;
    std::ifstream in(output());
    for (std::string line; std::getline(in, line);) objects.push_back(nlohmann::json::parse(line));
    return objects;
  }

  Scratch scratch_;
};

}  // namespace herd::test
