#pragma once
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "data/readers/reader.h"
#include "runtime/base/error.h"
#include "tests/support/errors.h"
#include "tests/support/scratch.h"

namespace herd::test {

/// Files that go with the test, and what reading them comes to.
class RecordFiles : public testing::Test {
 protected:
  std::string file(const std::string& name, std::string_view text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return (folder_ / name).string();
  }
  static Records read(const std::string& path, const ReadOptions& options = {}) { return read_records(std::vector{path}, options); }
  std::vector<Record> records(std::string_view text, const std::string& name = "set.json", const ReadOptions& options = {}) const {
    auto records = read(file(name, text), options).records;
    for (auto& record : records) record.source = {};
    return records;
  }
  Record record(std::string_view text, const std::string& name = "set.json", const ReadOptions& options = {}) const {
    auto all = records(text, name, options);
    EXPECT_EQ(all.size(), 1u);
    return all.empty() ? Record{} : all.front();
  }
  std::string complaint(std::string_view text, const std::string& name = "bad.json", const ReadOptions& options = {}) const {
    return message_of<DataError>([&] { read(file(name, text), options); });
  }

  Scratch folder_;
};

inline Turn user(std::string text, std::string input = "") {
  return {.role = Role::kUser, .text = std::move(text), .input = std::move(input)};
}
inline Turn assistant(std::string text) { return {.role = Role::kAssistant, .text = std::move(text)}; }
inline Turn turn(Role role, std::string text) { return {.role = role, .text = std::move(text)}; }

inline Record conversation(std::vector<Turn> turns, std::string system = "") {
  Record out;
  out.system = std::move(system);
  out.turns = std::move(turns);
  return out;
}

}  // namespace herd::test

namespace herd {

/// For messages of tests.
inline void PrintTo(const Record& record, std::ostream* out) {
  *out << "{" << record.system << "|";
  for (const auto& turn : record.turns)
    *out << " " << static_cast<int>(turn.role) << ":'" << turn.text << "'" << (turn.input.empty() ? "" : "+'" + turn.input + "'")
         << (turn.supervised ? *turn.supervised ? " learnt" : " not learnt" : "");
  *out << " | rejected '" << record.rejected << "' category '" << record.category << "' language '" << record.language << "' weight "
       << record.weight << "}";
}

}  // namespace herd
