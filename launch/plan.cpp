#include "launch/plan.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <utility>

#include "data/batches.h"
#include "data/dataset.h"
#include "launch/run_parts.h"
#include "runtime/base/text.h"
#include "train/trainer.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

// What of the recipe's files is missing; empty where all are there.
std::string missing_data(const RunConfig& config) {
  if (config.data.sets.empty()) return "data.sets is empty";
  try {
    resolve_sets(config.data);
    return "";
  } catch (const Error& error) {
    return error.complaint().who + ": " + error.complaint().found;
  }
}

// Without a tokenizer nothing is known of the data; that rows grow by its new pieces cannot be left open.
std::unique_ptr<Tokenizer> tokenizer_of(const RunConfig& config) {
  const auto folder = tokenizer_folder(config.model);
  if (config.model.extend_vocab.empty() && (folder.empty() || tokenizer_files(folder).empty())) return nullptr;
  return load_vocabulary(config.model).tokenizer;
}

DataPlan plan_data(const RunConfig& config) {
  DataPlan plan{.longest = config.data.max_tokens};
  plan.unknown = missing_data(config);
  const auto tokenizer = tokenizer_of(config);
  if (tokenizer) plan.vocabulary = tokenizer->vocab_size();
  if (!tokenizer && plan.unknown.empty()) plan.unknown = "no tokenizer";
  if (!plan.unknown.empty()) return plan;

  if (config.data.streaming) {  // of which only reading all of it would tell more
    plan.unknown = "streamed";
    if (config.train.max_steps > 0) plan.steps = config.train.max_steps;
    return plan;
  }
  const auto dataset = load_dataset(config.data, *tokenizer);
  Batches batches(dataset.train, sample_order(config), dataset.pad_token);
  if (!config.data.packing) {
    plan.longest = 0;
    for (std::int64_t i = 0; i < dataset.train.size(); ++i) plan.longest = std::max(plan.longest, dataset.train.length(i));
  }
  plan.steps = planned_steps(config.train, batches);
  plan.tokens = 0;
  for (std::int64_t step = 0; step < *plan.steps; ++step) *plan.tokens += batches.rows(step).tokens;
  return plan;
}

// One notch less memory, at a price: false where there is none.
using Remedy = bool (*)(RunConfig& config, Job& job);

bool smaller_micro_batch(RunConfig& c, Job& job) {
  auto& size = c.train.micro_batch_size;
  size = std::min(size, (c.train.global_batch_size + job.ranks - 1) / job.ranks);
  return size > 1 && (size /= 2);
}

bool saving_in_the_open(RunConfig& c, Job&) { return c.model.device == "cpu" && std::exchange(c.checkpoint.async, false); }

bool recomputing(RunConfig& c, Job&) { return std::exchange(c.train.activation_checkpointing, Recompute::kFull) != Recompute::kFull; }

bool more_in_parts(RunConfig& c, Job& job) {
  static const std::vector<std::string> ladder{"ddp", "zero1", "zero2", "zero3"};
  auto& strategy = c.parallel.strategy;
  if (job.ranks == 1 || strategy == "zero3") return false;
  const auto at = std::find(ladder.begin(), ladder.end(), strategy);
  strategy = at == ladder.end() ? "zero3" : *(at + 1);
  return true;
}

bool more_on_the_host(RunConfig& c, Job&) {
  auto& offload = c.parallel.offload;
  if (c.model.device == "cpu" || offload == Offload::kParameters) return false;
  if (offload == Offload::kOptimizer && !strategies().at(c.parallel.strategy).parameters) return false;
  offload = offload == Offload::kNone ? Offload::kOptimizer : Offload::kParameters;
  return true;
}

bool more_ranks(RunConfig& c, Job& job) {
  constexpr int kMost = 4096;
  if (job.ranks >= kMost) return false;
  if (strategies().at(c.parallel.strategy).share == StrategyEntry::Share::kNothing) c.parallel.strategy = "zero3";
  job.ranks *= 2;
  if (job.nodes > 1) job.nodes *= 2;
  return true;
}

// The cheapest first: what costs a little speed, then what computes twice, what sends more, what waits for
// the host, what needs more of everything.
struct Notch {
  Remedy remedy;
  bool of_states;  // changes what is held between steps
};
constexpr Notch kNotches[] = {{smaller_micro_batch, false}, {saving_in_the_open, false}, {recomputing, false},
                              {more_in_parts, true},        {more_on_the_host, true},    {more_ranks, true}};

std::string difference(const RunConfig& from, const Job& job_from, const RunConfig& to, const Job& job_to) {
  std::vector<std::string> words;
  if (to.train.micro_batch_size != from.train.micro_batch_size)
    words.push_back("train.micro_batch_size=" + std::to_string(to.train.micro_batch_size));
  if (to.checkpoint.async != from.checkpoint.async) words.push_back("checkpoint.async=false");
  if (to.train.activation_checkpointing != from.train.activation_checkpointing) words.push_back("train.activation_checkpointing=full");
  if (to.parallel.strategy != from.parallel.strategy) words.push_back("parallel.strategy=" + to.parallel.strategy);
  if (to.parallel.offload != from.parallel.offload)
    words.push_back(to.parallel.offload == Offload::kOptimizer ? "parallel.offload=optimizer" : "parallel.offload=parameters");
  if (job_to.ranks != job_from.ranks) words.push_back("--ranks " + std::to_string(job_to.ranks));
  if (job_to.nodes != job_from.nodes) words.push_back("--nodes " + std::to_string(job_to.nodes));
  return join(words, " ");
}

class Search {
 public:
  Search(const RunConfig& config, const DataPlan& data, std::int64_t limit) : config_(config), data_(data), limit_(limit) {}

  void run(Plan& plan) const {
    for (const auto& notch : kNotches) {
      if (!notch.of_states && plan.footprint.memory.states() > limit_) continue;
      auto config = config_;
      auto job = plan.job;
      const auto change = take(notch.remedy, config, job, limit_);
      if (change && change->memory.peak() <= limit_) plan.alone.push_back(*change);
    }
    if (!plan.alone.empty()) return;
    auto config = config_;
    auto job = plan.job;
    auto least = plan.footprint.memory.peak();
    for (const auto& notch : kNotches) {
      auto tried = config;
      auto tried_job = job;
      const auto change = take(notch.remedy, tried, tried_job, std::numeric_limits<std::int64_t>::max());
      if (!change || change->memory.peak() >= least) continue;
      least = change->memory.peak();
      config = tried, job = tried_job;
      plan.together.push_back(*change);
      if (least <= limit_) return;
    }
  }

 private:
  // The first notch at which it fits, else the one at which it takes least. Of ever more ranks the notches end where they no longer help.
  // @param enough see footprint.
  std::optional<PlannedChange> take(Remedy remedy, RunConfig& config, Job& job, std::int64_t enough) const {
    const auto from = config;
    const auto job_from = job;
    std::optional<PlannedChange> best;
    auto next = config;
    auto next_job = job;
    while (remedy(next, next_job)) {
      const auto memory = footprint(next, next_job, data_.longest, data_.vocabulary, enough).memory;
      if (memory.states() > enough) continue;
      const bool better = !best || memory.peak() < best->memory.peak();
      if (!better && remedy == more_ranks) return best;
      if (!better) continue;
      config = next, job = next_job;
      best = PlannedChange{difference(from, job_from, config, job), memory};
      if (memory.peak() <= limit_) return best;
    }
    return best;
  }

  const RunConfig& config_;
  const DataPlan& data_;
  std::int64_t limit_;
};

}  // namespace

Plan make_plan(const RunConfig& config, const Job& job, std::optional<std::int64_t> limit) {
  Plan plan{.job = job, .data = plan_data(config), .limit = limit};
  if (config.model.config && !config.model.config->vocab_size && plan.data.vocabulary == 0)
    throw ConfigError({.who = "model.config.vocab_size",
                       .found = "null, and no tokenizer in '" + config.model.tokenizer + "'",
                       .expected = "one of the two, to know how large the embedding is",
                       .remedy = "model.config.vocab_size=32000"});
  check_context(config, *model_shape(config, plan.data.vocabulary));
  plan.footprint = footprint(config, job, plan.data.longest, plan.data.vocabulary);
  if (!plan.fits()) Search(config, plan.data, *limit).run(plan);
  return plan;
}

}  // namespace herd
