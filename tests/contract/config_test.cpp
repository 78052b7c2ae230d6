// What holds for every key of the run schema and every file in configs/, by being there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "launch/run_config.h"
#include "tests/support/assets.h"

namespace herd {
namespace {

TEST(RunSchema, EveryKeyIsDocumentedAndExplained) {
  RunConfig defaults;
  Schema schema;
  describe(schema, defaults);
  std::set<std::string> seen;
  schema.visit([&](const std::string& path, const Field& field) {
    EXPECT_GE(field.doc.size(), 10u) << path << " says too little";
    EXPECT_FALSE(field.type.empty()) << path;
    EXPECT_TRUE(seen.insert(path).second) << path << " is declared twice";
    EXPECT_THAT(schema.explain(path), testing::AllOf(testing::HasSubstr(path + ": " + field.doc), testing::HasSubstr(field.expectation())));
  });
  EXPECT_GT(seen.size(), 60u);
  for (const auto& [brief, key] : schema.aliases()) EXPECT_TRUE(seen.contains(key)) << brief;
}

TEST(RunSchema, DefaultsFitTheirOwnLimits) {
  RunConfig defaults;
  Schema schema;
  describe(schema, defaults);
  const auto tree = schema.store();
  EXPECT_NO_THROW(schema.load(tree));
  EXPECT_EQ(defaults, RunConfig{});
}

TEST(Configs, EveryFileLoads) {
  int files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(test::source_dir() / "configs")) {
    if (!entry.is_regular_file()) continue;
    const auto room = entry.path().parent_path().filename();
    if (room == "data" || room == "templates" || room == "evaluate" || room == "instructors" || room == "sweeps") continue;  // no parts of a recipe: tests of data and of infer and sweep read them
    EXPECT_EQ(entry.path().extension(), ".yaml") << entry.path();
    std::vector<std::string> overrides;
    if (room == "quantization") overrides = {"peft.method=lora"};  // which has no meaning without an adapter
    EXPECT_NO_THROW(resolve_run({.file = entry.path(), .overrides = overrides})) << entry.path();
    ++files;
  }
  EXPECT_GE(files, 3);
}

}  // namespace
}  // namespace herd
