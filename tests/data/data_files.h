#pragma once
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "tests/data/toy_records.h"
#include "tests/data/toy_tokenizers.h"
#include "tests/support/scratch.h"

namespace herd::test {

/// Files of records that go with the test, and what datasets of them hold.
class Data : public testing::Test {
 protected:
  std::string file(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return (folder_ / name).string();
  }
  /// Records {"NAME i", "a"}.
  std::string numbered(const std::string& name, int count, const std::string& more = "") const {
    std::string text;
    for (int i = 0; i < count; ++i)
      text += R"({"instruction": ")" + name + " " + std::to_string(i) + R"(", "output": "a")" + more + "}\n";
    return file(name + ".jsonl", text);
  }
  DataOptions of(std::vector<DataSet> sets) const {
    auto out = options(4096);
    out.sets = std::move(sets);
    return out;
  }
  /// What the records of a side ask.
  static std::multiset<std::string> questions(const Examples& examples) {
    std::multiset<std::string> out;
    for (std::int64_t i = 0; i < examples.size(); ++i) {
      const auto text = ByteTokenizer().decode(examples[i].tokens(), true);
      const auto begin = text.find("### Instruction:\n") + 17;
      out.insert(text.substr(begin, text.find("\n\n### Response:") - begin));
    }
    return out;
  }
  static std::multiset<std::string> train(const DataOptions& o) { return questions(load_dataset(o, ByteTokenizer()).train); }
  static std::multiset<std::string> held_out(const DataOptions& o) { return questions(load_dataset(o, ByteTokenizer()).held_out); }
  static std::size_t unlike(const std::multiset<std::string>& of) { return std::set(of.begin(), of.end()).size(); }

  Scratch folder_;
};

}  // namespace herd::test
