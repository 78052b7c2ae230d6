// The strict YAML machinery. The oracle is each error's text, written out here by hand, and values of a struct that is filled by hand.
#include "runtime/base/config.h"
#include "tests/support/errors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <cstdlib>
#include <fstream>

namespace herd {
namespace {
namespace fs = std::filesystem;

enum class Color { kRed, kGreen };

struct Shape {
  std::int64_t width = 4;
  bool operator==(const Shape&) const = default;
};
void describe(Schema& s, Shape& o) { s.field("width", o.width, "width").at_least(1); }

struct Source {
  std::string path;
  double weight = 1;
  bool operator==(const Source&) const = default;
};
void describe(Schema& s, Source& o) {
  s.field("path", o.path, "file");
  s.field("weight", o.weight, "share").above(0);
}

struct Peft {
  std::int64_t r = 8;
  double alpha = 16, dropout = 0;
  Color color = Color::kRed;
  OneOrMany targets{{"q_proj", "v_proj"}, false};
  bool operator==(const Peft&) const = default;
  void validate() const {
    if (alpha < static_cast<double>(r)) throw InvalidSetting("alpha", write_value(alpha).text, "at least r, which is " + std::to_string(r));
  }
};
void describe(Schema& s, Peft& o) {
  s.field("r", o.r, "rank of the update").range(1, 4096);
  s.field("alpha", o.alpha, "scale").above(0).known_as({"lora_alpha"});
  s.field("dropout", o.dropout, "dropout").at_least(0).below(1);
  s.choice("color", o.color, {{"red", Color::kRed}, {"green", Color::kGreen}}, "an enum");
  s.field("targets", o.targets, "which");
}

struct Checkpoint {
  Every every = Every::epochs(1);
  std::string resume = "none";
  bool best = true;
  std::optional<std::int64_t> keep;
  bool operator==(const Checkpoint&) const = default;
};
void describe(Schema& s, Checkpoint& o) {
  s.field("every", o.every, "how often");
  s.field("resume", o.resume, "where from");
  s.field("best", o.best, "keep the best");
  s.field("keep", o.keep, "how many").at_least(1);
}

struct Root {
  Peft peft;
  Checkpoint checkpoint;
  std::vector<Source> sets;
  std::vector<std::int64_t> numbers{1};
  std::optional<Shape> shape;
  std::string kind = "a";
  bool operator==(const Root&) const = default;
};
void describe(Schema& s, Root& o) {
  s.section("peft", o.peft, "what is trained");
  s.section("checkpoint", o.checkpoint, "what is kept");
  s.list("sets", o.sets, "path", "the data");
  s.field("numbers", o.numbers, "some").range(0, 9);
  s.optional_section("shape", o.shape, "a form");
  s.field("kind", o.kind, "a or bee").one_of({"a", "bee"});
  s.alias("resume", "checkpoint.resume");
}

struct Listed {
  std::vector<std::string> files{"d"};
  std::vector<std::int64_t> numbers;
};
void describe(Schema& s, Listed& o) {
  s.field("files", o.files, "some");
  s.field("numbers", o.numbers, "some");
}

class Config : public testing::Test {
 protected:
  Config() : folder_(fs::path(testing::TempDir()) / ("herd_config_" + std::to_string(getpid()))) {
    fs::create_directories(folder_ / "lib");
  }
  ~Config() override { fs::remove_all(folder_); }

  fs::path write(const std::string& name, const std::string& text) {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << text;
    return folder_ / name;
  }
  template <class T = Root>
  T load(const std::string& text, std::vector<std::string> overrides = {}) {
    T root;
    tree_ = load_config(root, {.file = write("r.yaml", text), .overrides = std::move(overrides), .folders = {folder_ / "lib"}});
    return root;
  }
  // The message, with the test's folder cut away.
  template <class T = Root>
  std::string error(const std::string& text, std::vector<std::string> overrides = {}) {
    auto message = test::message_of<Error>([&] { load<T>(text, std::move(overrides)); });
    const auto lead = folder_.string() + "/";
    for (auto at = message.find(lead); at != std::string::npos; at = message.find(lead)) message.erase(at, lead.size());
    return message;
  }
  std::string origin(const std::string& path) {
    auto text = tree_.at_path(path)->origin.brief();
    if (const auto at = text.find(folder_.string()); at != std::string::npos) text.erase(at, folder_.string().size() + 1);
    return text;
  }

  fs::path folder_;
  ConfigNode tree_;
};

TEST_F(Config, ReadsEveryType) {
  const auto root = load(R"(
peft: {r: 1e3, alpha: 3e3, dropout: 0.5, color: green, targets: '.*_proj'}
checkpoint: {every: 200 steps, resume: 12, best: false, keep: 3}
sets: [a.json, {path: b.json, weight: 0.5}]
numbers: [7, 9]
shape: {width: 2}
kind: bee
)");
  Root expected;
  expected.peft = {.r = 1000, .alpha = 3000, .dropout = 0.5, .color = Color::kGreen, .targets = {{".*_proj"}, true}};
  expected.checkpoint = {.every = Every::steps(200), .resume = "12", .best = false, .keep = 3};
  expected.sets = {{"a.json", 1}, {"b.json", 0.5}};
  expected.numbers = {7, 9};
  expected.shape = Shape{2};
  expected.kind = "bee";
  EXPECT_EQ(root, expected);
}

TEST_F(Config, OneStringIsAListOfOne) {
  using testing::ElementsAre;
  EXPECT_THAT(load<Listed>("files: a b.json\n").files, ElementsAre("a b.json"));
  EXPECT_THAT(load<Listed>("files: [a]\n", {"files=12"}).files, ElementsAre("12"));
  EXPECT_EQ(to_flow(*tree_.at_path("files")), "[\"12\"]");
  EXPECT_EQ(origin("files"), "command line");
  EXPECT_THAT(load<Listed>("files: [a, b]\n").files, ElementsAre("a", "b"));
  EXPECT_THAT(load<Listed>("files: []\n").files, testing::IsEmpty());
  const std::string expected = "; expected a list of strings (one alone needs no brackets)\n       (herd config --explain files)";
  EXPECT_EQ(error<Listed>("files: {a: 1}\n"), "r.yaml:1:8: 'files' is a mapping" + expected);
  EXPECT_EQ(error<Listed>("files: [[a]]\n"), "r.yaml:1:9: 'files' holds a list" + expected);
  EXPECT_EQ(error<Listed>("", {"files="}), "command line: 'files' is empty" + expected);
  EXPECT_EQ(error<Listed>("files: ''\n"), "r.yaml:1:8: 'files' is the string \"\"" + expected);
  EXPECT_EQ(error<Listed>("numbers: 1\n"),
            "r.yaml:1:10: 'numbers' is '1'; expected a list, each item a whole number\n       (herd config --explain numbers)");
}

TEST_F(Config, KeepsDefaultsAndTakesNothingForNothing) {
  EXPECT_EQ(load("# only a comment\n"), Root{});
  EXPECT_EQ(load("shape: ~\ncheckpoint: {keep: null, every: never}\n").checkpoint.every, Every{});
}

TEST_F(Config, SaysWhereAnUnknownKeyStandsAndWhatWasMeant) {
  EXPECT_EQ(error("peft:\n  r: 8\n  lora_alhpa: 16\n"),
            "r.yaml:3:3: unknown key 'peft.lora_alhpa'\n       did you mean 'peft.alpha'?  (herd config --explain peft.alpha)");
  EXPECT_EQ(error("peft: {dropuot: 1}\n"),
            "r.yaml:1:8: unknown key 'peft.dropuot'\n       did you mean 'peft.dropout'?  (herd config --explain peft.dropout)");
  EXPECT_EQ(error("pfet: {r: 1}\n"), "r.yaml:1:1: unknown key 'pfet'\n       did you mean 'peft'?  (herd config --explain peft)");
  EXPECT_EQ(error("checkpoint: {targets: x}\n"),
            "r.yaml:1:14: unknown key 'checkpoint.targets'\n       did you mean 'peft.targets'?  (herd config --explain peft.targets)");
  EXPECT_EQ(error("sets: [a, {path: b, wieght: 1}]\n"),
            "r.yaml:1:21: unknown key 'sets.wieght'\n       did you mean 'sets.weight'?  (herd config --explain sets.weight)");
  EXPECT_EQ(error("shape: {something_else: 1}\n"),
            "r.yaml:1:9: unknown key 'shape.something_else'\n       known here: width  (herd config --explain shape)");
  EXPECT_EQ(error("", {"peft.dropuot=0.5"}),
            "command line: unknown key 'peft.dropuot'\n       did you mean 'peft.dropout'?  (herd config --explain peft.dropout)");
}

TEST_F(Config, SaysWhatWasFoundAndExpected) {
  EXPECT_EQ(error("peft:\n  r: eight\n"),
            "r.yaml:2:6: 'peft.r' is 'eight'; expected a whole number, from 1 to 4096\n       (herd config --explain peft.r)");
  EXPECT_EQ(error("peft: {r: 8.5}\n"),
            "r.yaml:1:11: 'peft.r' is '8.5'; expected a whole number, from 1 to 4096\n       (herd config --explain peft.r)");
  EXPECT_EQ(error("peft: {r: '8'}\n"),
            "r.yaml:1:11: 'peft.r' is the string \"8\"; expected a whole number, from 1 to 4096\n       (herd config --explain peft.r)");
  EXPECT_EQ(error("peft:\n  r:\nkind: a\n"),
            "r.yaml:2:3: 'peft.r' is empty; expected a whole number, from 1 to 4096\n       (herd config --explain peft.r)");
  EXPECT_EQ(error("peft: [1]\n"), "r.yaml:1:7: 'peft' is a list; expected a section\n       (herd config --explain peft)");
  EXPECT_EQ(error("peft:\n"), "r.yaml:1:1: 'peft' is empty; expected a section\n       (herd config --explain peft)");
  EXPECT_EQ(error("sets: \"\"\n"),
            "r.yaml:1:7: 'sets' is the string \"\"; expected a list (one item needs no brackets), each a section or the value of its 'path'\n       (herd config "
            "--explain sets)");
  EXPECT_EQ(error("sets: [[a]]\n"),
            "r.yaml:1:8: 'sets' is a list; expected a mapping of keys to values\n       (herd config --explain sets)");
  EXPECT_EQ(error("checkpoint: {best: yes}\n"),
            "r.yaml:1:20: 'checkpoint.best' is 'yes'; expected true or false\n       (herd config --explain checkpoint.best)");
  EXPECT_EQ(error("checkpoint: {resume: {a: 1}}\n"),
            "r.yaml:1:22: 'checkpoint.resume' is a mapping; expected a string\n       (herd config --explain checkpoint.resume)");
  for (const std::string wrong : {"200", "200 stpes", "0 steps", "-1 steps", "x epochs"})
    EXPECT_THAT(error("checkpoint: {every: " + wrong + "}\n"),
                testing::StartsWith("r.yaml:1:21: 'checkpoint.every' is '" + wrong + "'; expected a count and its unit"));
  for (const std::string wrong : {".inf", ".nan", "nan", "inf", "0x10", "1_000"})
    EXPECT_THAT(error("peft: {alpha: " + wrong + "}\n"),
                testing::StartsWith("r.yaml:1:15: 'peft.alpha' is '" + wrong + "'; expected a number, above 0"));
}

TEST_F(Config, SaysTheRangeAndTheChoices) {
  EXPECT_EQ(error("peft: {r: 0}\n"),
            "r.yaml:1:11: 'peft.r' is '0'; expected a whole number, from 1 to 4096\n       (herd config --explain peft.r)");
  EXPECT_EQ(error("peft: {dropout: 1}\n"),
            "r.yaml:1:17: 'peft.dropout' is '1'; expected a number, at least 0 and below 1\n       (herd config --explain peft.dropout)");
  EXPECT_EQ(load("peft: {r: 4096, alpha: 4096, dropout: 0}\n").peft.r, 4096);
  EXPECT_EQ(
      error("numbers: [1, 10]\n"),
      "r.yaml:1:14: 'numbers' holds '10'; expected a list, each item a whole number, from 0 to 9\n       (herd config --explain numbers)");
  EXPECT_EQ(
      error("peft: {color: gren}\n"),
      "r.yaml:1:15: 'peft.color' is 'gren'; expected one of red, green\n       did you mean 'green'?  (herd config --explain peft.color)");
  EXPECT_EQ(error("kind: b\n"),
            "r.yaml:1:7: 'kind' is 'b'; expected one of a, bee\n       did you mean 'a'?  (herd config --explain kind)");
  EXPECT_EQ(error("sets: [{path: a, weight: 0}]\n"),
            "r.yaml:1:26: 'sets.weight' is '0'; expected a number, above 0\n       (herd config --explain sets.weight)");
  EXPECT_EQ(error("shape: {width: 0}\n"),
            "r.yaml:1:16: 'shape.width' is '0'; expected a whole number, at least 1\n       (herd config --explain shape.width)");
}

TEST_F(Config, ValidationNamesThePlaceOfItsKey) {
  EXPECT_EQ(error("peft:\n  r: 32\n  alpha: 16\n"),
            "r.yaml:3:10: 'peft.alpha' is 16; expected at least r, which is 32\n       (herd config --explain peft.alpha)");
  EXPECT_EQ(error("", {"peft.r=32"}),
            "default: 'peft.alpha' is 16; expected at least r, which is 32\n       (herd config --explain peft.alpha)");
}

TEST_F(Config, RefusesBrokenYaml) {
  EXPECT_EQ(error("kind: a\npeft: {r: 1}\nkind: bee\n"),
            "r.yaml:3:1: the key 'kind' is given twice\n       the first one stands at r.yaml:1:1");
  EXPECT_EQ(error("peft: {r: 1, r: 1}\n"), "r.yaml:1:14: the key 'r' is given twice\n       the first one stands at r.yaml:1:8");
  EXPECT_THAT(error("kind: a\npeft: [1\n"), testing::StartsWith("r.yaml:3:1: broken YAML: "));
  EXPECT_THAT(error("kind: *nobody\n"), testing::StartsWith("r.yaml:1:7: broken YAML: "));
  EXPECT_EQ(error("kind: a\n---\nkind: a\n"), "r.yaml:3:1: a second YAML document; expected one document a file");
  EXPECT_EQ(error("- a\n"), "r.yaml:1:1: a list or a single value; expected a mapping of keys to values");
  EXPECT_EQ(error("? [a]\n: b\n"), "r.yaml:1:3: a key that is a list, a mapping or empty; expected a name");
  EXPECT_THAT(error("peft: &a {r: *a}\n"), testing::HasSubstr("YAML nested or repeated without end"));
  EXPECT_THAT(error("", {"kind=[a"}), testing::StartsWith("command line 'kind=[a': broken YAML: "));
  EXPECT_EQ(error("", {"kind"}), "command line: 'kind'; expected key.path=value, as in train.epochs=3");
  Root root;
  EXPECT_THROW(load_config(root, {.file = folder_ / "none.yaml", .overrides = {}, .folders = {}}), ConfigError);
  EXPECT_THROW(load_config(root, {.file = folder_, .overrides = {}, .folders = {}}), ConfigError);
}

TEST_F(Config, TakesAnchorsAndMerges) {
  const auto root = load("peft: &p {r: 4, alpha: 32}\nsets:\n  - &s {path: a, weight: 2}\n  - {<<: *s, path: b}\n  - *s\n");
  EXPECT_EQ(root.sets, (std::vector<Source>{{"a", 2}, {"b", 2}, {"a", 2}}));
}

TEST_F(Config, OneItemOfAListNeedsNoBrackets) {
  EXPECT_EQ(load("sets: a\n").sets, (std::vector<Source>{{"a", 1}}));
  EXPECT_EQ(load("sets: {path: b, weight: 3}\n").sets, (std::vector<Source>{{"b", 3}}));
}

TEST_F(Config, LaterIncludesWinOverEarlierAndTheRecipeOverBoth) {
  write("lib/models/one.yaml", "peft: {r: 1, dropout: 0.1, targets: [a, b]}\nshape: {width: 9}\n");
  write("beside.yaml", "peft:\n  r: 2\n  targets: [c]\n");
  const auto root = load("include: [models/one, beside]\npeft:\n  alpha: 5\n", {"peft.dropout=0.25", "resume=auto"});
  EXPECT_EQ(root.peft, (Peft{.r = 2, .alpha = 5, .dropout = 0.25, .color = Color::kRed, .targets = {{"c"}, false}}));
  EXPECT_EQ(root.shape, Shape{9});
  EXPECT_EQ(root.checkpoint.resume, "auto");
  EXPECT_EQ(origin("peft.r"), "include beside:2:6");
  EXPECT_EQ(origin("peft.targets"), "include beside:3:12");
  EXPECT_EQ(origin("peft.alpha"), "r.yaml:3:10");
  EXPECT_EQ(origin("peft.dropout"), "command line");
  EXPECT_EQ(origin("peft.color"), "default");
  EXPECT_EQ(origin("shape.width"), "include models/one:2:16");
  EXPECT_EQ(origin("checkpoint.resume"), "command line");
}

TEST_F(Config, AnErrorInAnIncludeNamesItsFile) {
  write("lib/models/one.yaml", "peft:\n  rr: 1\n");
  EXPECT_THAT(error("include: models/one\n"), testing::StartsWith("lib/models/one.yaml:2:3: unknown key 'peft.rr'"));
}

TEST_F(Config, RefusesMissingAndCyclicIncludes) {
  write("lib/models/llama.yaml", "{}\n");
  EXPECT_THAT(error("kind: a\ninclude: [models/lama]\n"),
              testing::AllOf(testing::StartsWith("r.yaml:2:11: no config named 'models/lama' in "),
                             testing::EndsWith("did you mean 'models/llama'?")));
  EXPECT_THAT(error("include: [[a]]\n"), testing::StartsWith("r.yaml:1:11: 'include' holds [a]; expected names"));
  write("a.yaml", "include: b\n");
  write("b.yaml", "include:\n  - a\n");
  EXPECT_EQ(error("include: a\n"), "b.yaml:2:5: a config includes itself: a > b > a");
  EXPECT_THAT(error("include: r\n"), testing::HasSubstr("r.yaml:1:10: a config includes itself: "));
  write("c.yaml", "kind: bee\n");
  write("d.yaml", "include: c\n");
  EXPECT_EQ(load("include: [c, d]\n").kind, "bee");  // twice is no cycle
}

TEST(ConfigFolders, EnvironmentGoesFirst) {
  setenv("HERD_CONFIGS", "/x:/y", 1);
  const auto folders = config_folders();
  unsetenv("HERD_CONFIGS");
  ASSERT_EQ(folders.size(), 3u);
  EXPECT_EQ(folders[0], "/x");
  EXPECT_EQ(folders[1], "/y");
  EXPECT_EQ(folders[2].filename(), "configs");
}

TEST_F(Config, WhatItWritesLoadsBackEqual) {
  auto root = load(
      "sets: [a b, {path: \"x\\n\\\"'\\\\\\t\\x01 #: 链\", weight: 0.1}, 'null', '12']\nshape: {width: 7}\ncheckpoint: {keep: 2, every: 3 "
      "epochs}\n");
  root.peft.dropout = 0.1 + 0.2;
  root.peft.targets = {{"^(a|b): #x$"}, true};
  root.kind = "a";
  Schema schema;
  describe(schema, root);
  for (const bool origins : {false, true}) {
    const auto text = to_yaml(schema.store(), origins);
    EXPECT_EQ(load(text), root) << text;
  }
  EXPECT_EQ(load(to_yaml(load_config(root, {.file = "", .overrides = {"shape=null", "peft.targets=[]"}, .folders = {}}), true)), root);
}

TEST_F(Config, PrintsEachValueWithItsOrigin) {
  load("peft:\n  r: 4\nsets: [a, {path: b, weight: 2}]\n", {"kind=bee"});
  auto text = to_yaml(tree_, true);
  for (auto at = text.find(folder_.string()); at != std::string::npos; at = text.find(folder_.string()))
    text.erase(at, folder_.string().size() + 1);
  EXPECT_EQ(text, R"(peft:
  r: 4                       # r.yaml:2:6
  alpha: 16                  # default
  dropout: 0                 # default
  color: red                 # default
  targets: [q_proj, v_proj]  # default
checkpoint:
  every: 1 epoch             # default
  resume: none               # default
  best: true                 # default
  keep: null                 # default
sets:                        # r.yaml:3:7
  - a
  - {path: b, weight: 2}
numbers: [1]                 # default
shape: null                  # default
kind: bee                    # command line
)");
}

TEST(ConfigExplain, DocumentsKeysSectionsAndShortForms) {
  Root root;
  Schema schema;
  describe(schema, root);
  EXPECT_EQ(schema.explain("peft.r"), "peft.r: rank of the update\n  type     a whole number, from 1 to 4096\n  default  8\n");
  EXPECT_EQ(schema.explain("resume"),
            "checkpoint.resume: where from\n  type     a string\n  default  none\n  short    resume=… on the command line\n");
  EXPECT_EQ(schema.explain("shape.width"), "shape.width: width\n  type     a whole number, at least 1\n  default  4\n");
  EXPECT_THAT(schema.explain("peft"), testing::AllOf(testing::HasSubstr("peft.alpha"), testing::HasSubstr("(default 16)")));
  EXPECT_THAT(schema.explain(""),
              testing::AllOf(testing::HasSubstr("peft"), testing::HasSubstr("what is kept"), testing::Not(testing::HasSubstr("peft.r"))));
  EXPECT_EQ(test::message_of<ConfigError>([&] { schema.explain("peft.alhpa"); }),
            "command line: unknown key 'peft.alhpa'\n       did you mean 'peft.alpha'?  (herd config --explain peft.alpha)");
}

}  // namespace
}  // namespace herd
