#include "data/cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <functional>

#include "runtime/base/error.h"
#include "tests/data/data_files.h"

namespace herd {
namespace {

namespace fs = std::filesystem;
using test::ByteTokenizer;
using test::line;

class Cached : public test::Data {
 protected:
  DataOptions kept(std::vector<DataSet> sets) const {
    auto out = of(std::move(sets));
    out.cache = (folder_ / "cache").string();
    return out;
  }
  std::vector<std::string> in_cache() const {
    std::vector<std::string> out;
    for (const auto& entry : fs::directory_iterator(folder_ / "cache"))
      if (entry.path().extension() != ".lock") out.push_back(entry.path().filename());
    return out;
  }
  static std::vector<std::vector<TokenId>> tokens(const Examples& examples) {
    std::vector<std::vector<TokenId>> out;
    for (std::int64_t i = 0; i < examples.size(); ++i) out.push_back(examples[i].tokens());
    return out;
  }
};

TEST_F(Cached, GivesWhatMakingAnewGives) {
  DataSet set(numbered("a", 500));
  set.weight = 0.5;
  auto o = kept({set});
  o.held_out = 0.1;
  const auto made = load_dataset(o, ByteTokenizer()), found = load_dataset(o, ByteTokenizer());
  EXPECT_EQ(made.cached, "");
  EXPECT_NE(found.cached, "");
  auto without = o;
  without.cache = "off";
  const auto fresh = load_dataset(without, ByteTokenizer());
  for (const auto* other : {&made, &fresh}) {
    EXPECT_EQ(tokens(found.train), tokens(other->train));
    EXPECT_EQ(tokens(found.held_out), tokens(other->held_out));
    EXPECT_EQ(found.train_report, other->train_report);
    EXPECT_EQ(found.held_out_report, other->held_out_report);
    EXPECT_EQ(found.sets, other->sets);
    EXPECT_EQ(found.fingerprint, other->fingerprint);
    EXPECT_EQ(found.summary(), other->summary());
  }
  for (std::int64_t i = 0; i < found.train.size(); ++i) {
    EXPECT_EQ(found.train[i].weight(), 0.5f);
    EXPECT_EQ(found.train[i].source(), fresh.train[i].source());
    EXPECT_EQ(found.train[i].supervised_tokens(), fresh.train[i].supervised_tokens());
  }
}

TEST_F(Cached, GoesByContentsAndOptions) {
  const auto a = numbered("a", 50);
  auto o = kept({a});
  load_dataset(o, ByteTokenizer());
  o.packing = true;  // comes later than what is kept
  o.seed = 9;
  EXPECT_NE(load_dataset(o, ByteTokenizer()).cached, "");
  fs::rename(a, folder_ / "moved.jsonl");
  o.sets = {(folder_ / "moved.jsonl").string()};
  EXPECT_NE(load_dataset(o, ByteTokenizer()).cached, "");
  EXPECT_EQ(in_cache().size(), 1u);
  o.max_tokens = 1000;
  EXPECT_EQ(load_dataset(o, ByteTokenizer()).cached, "");
  o.template_name = "vicuna_v1.1";
  EXPECT_EQ(load_dataset(o, ByteTokenizer()).cached, "");
  std::ofstream(folder_ / "moved.jsonl", std::ios::app) << line("more", "x");
  EXPECT_EQ(load_dataset(o, ByteTokenizer()).cached, "");
  EXPECT_EQ(in_cache().size(), 4u);
}

TEST_F(Cached, HalfWrittenOrDamagedIsMadeAgain) {
  const auto o = kept({numbered("a", 50)});
  const auto whole = tokens(load_dataset(o, ByteTokenizer()).train);
  const auto place = folder_ / "cache" / in_cache().at(0);
  const auto size = fs::file_size(place / "train.examples");
  for (const auto& damage : std::initializer_list<std::function<void()>>{
           [&] { fs::resize_file(place / "train.examples", size / 2); }, [&] { fs::remove(place / "train.examples"); },
           [&] { std::ofstream(place / "about.json") << "{\"train\""; }, [&] { fs::resize_file(place / "held_out.examples", 0); },
           [&] { std::fstream(place / "train.examples", std::ios::in | std::ios::out).write("\0\0\0\0", 4); }}) {
    damage();
    const auto again = load_dataset(o, ByteTokenizer());
    EXPECT_EQ(again.cached, "");
    EXPECT_EQ(tokens(again.train), whole);
    EXPECT_NE(load_dataset(o, ByteTokenizer()).cached, "");
  }
  EXPECT_EQ(in_cache().size(), 1u);
}

TEST_F(Cached, NothingIsLeftWhereTheDataAreBad) {
  auto o = kept({file("bad.jsonl", line("a", "b") + "{\"instruction\": 3}\n")});
  EXPECT_THROW(load_dataset(o, ByteTokenizer()), DataError);
  EXPECT_TRUE(in_cache().empty());
}

// Processes that want the same data at the same time: one makes it, the others map it.
TEST_F(Cached, OneOfSeveralProcessesMakesIt) {
  const auto o = kept({numbered("a", 3000)});
  std::vector<int> pipes;
  for (int child = 0; child < 4; ++child) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const auto pid = fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
      const auto dataset = load_dataset(o, ByteTokenizer());
      const char told[2] = {dataset.cached.empty() ? 'm' : 'f', dataset.train.size() == 3000 ? 'y' : 'n'};
      _exit(write(ends[1], told, 2) == 2 ? 0 : 1);
    }
    close(ends[1]);
    pipes.push_back(ends[0]);
  }
  std::string made, right;
  for (const int end : pipes) {
    char told[2];
    ASSERT_EQ(read(end, told, 2), 2);
    made += told[0];
    right += told[1];
    close(end);
  }
  while (wait(nullptr) > 0) {
  }
  EXPECT_EQ(std::count(made.begin(), made.end(), 'm'), 1) << made;
  EXPECT_EQ(right, "yyyy");
}

}  // namespace
}  // namespace herd
