#pragma once
#include <string>

#include "runtime/base/file.h"
#include "sweep/plan.h"
#include "tests/support/scratch.h"

namespace herd::test {

/// The schema of a recipe that a sweep's tests sweep over: what a run's has of the keys that matter here.
struct SmallSection {
  std::int64_t r = 8, seed = 0, max_steps = 0, threads = 0;
  double rate = 0.1;
  std::string method = "lora", folder = "runs", name;
};
inline void describe(Schema& s, SmallSection& o) {
  s.field("r", o.r, "a rank").range(1, 64);
  s.field("seed", o.seed, "a seed");
  s.field("max_steps", o.max_steps, "steps");
  s.field("threads", o.threads, "threads");
  s.field("rate", o.rate, "a rate").above(0);
  s.field("method", o.method, "a method");
  s.field("folder", o.folder, "a folder");
  s.field("name", o.name, "a name");
}
struct SmallRun {
  SmallSection train, run, model;
};
inline void describe(Schema& s, SmallRun& o) {
  s.section("train", o.train, "training");
  s.section("run", o.run, "where");
  s.section("model", o.model, "what");
}

inline ConfigNode resolve_small(const ConfigNode& tree) {
  SmallRun run;
  Schema schema;
  describe(schema, run);
  schema.load(tree);
  return schema.store();
}

/// A sweep's file of this text, beside an empty recipe.yaml, with its folder in `scratch`.
inline sweep::SweepFile sweep_of(const Scratch& scratch, const std::string& text) {
  write_file_atomically(scratch / "recipe.yaml", "{}\n");
  write_file_atomically(scratch / "sweep.yaml", text);
  return sweep::read_sweep(scratch / "sweep.yaml", {"recipe=recipe.yaml", "folder=" + (scratch / "out").string()});
}

}  // namespace herd::test
