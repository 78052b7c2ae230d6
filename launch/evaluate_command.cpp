#include "launch/evaluate_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>

#include "data/readers/paths.h"
#include "infer/evaluate/items.h"
#include "infer/evaluate/results.h"
#include "launch/answer_settings.h"
#include "launch/command_line.h"
#include "launch/evaluate_answers.h"
#include "launch/evaluate_compare.h"
#include "launch/evaluate_judge.h"
#include "launch/evaluate_likelihood.h"
#include "launch/kept_answers.h"
#include "launch/rank_failure.h"
#include "launch/run_start.h"
#include "parallel/comm/agree.h"
#include "parallel/comm/backends.h"
#include "runtime/base/exit_codes.h"
#include "runtime/base/file.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"
#include "runtime/report/text_table.h"

namespace herd {
namespace {

namespace fs = std::filesystem;
constexpr double kPatience_s = 3600;  // for the rank with the longest answers

std::string content_of(const std::vector<std::string>& files) {
  std::vector<std::string> parts;
  for (const auto& file : files) parts.push_back(fingerprint(read_file(file)));
  return fingerprint(join(parts));
}

class Evaluation {
 public:
  Evaluation(const EvaluateOptions& options, EvaluationTask task, AnswerSettings settings)
      : options_(options), task_(std::move(task)), adapter_(options.speaker.used_adapter(options.use)), files_(expand_paths(options.data)),
        examples_(expand_paths(options.examples)), settings_(std::move(settings)),
        items_(read_items(task_, files_, examples_, options.limit)), speaker_(options.speaker) {
    if (is_written()) check_references();
    if (task_.kind == EvaluationTask::Kind::kPerplexity || !task_.through_template()) speaker_.prompt("", adapter_);  // its tokenizer is training's
    else speaker_.template_of(adapter_);
    generation_ = options.sampling.in(speaker_.encoder());
    generation_.max_new_tokens = task_.max_new_tokens;
    generation_.stop.insert(generation_.stop.end(), task_.stop.begin(), task_.stop.end());
  }

  /// Whether the model writes answers, or texts are found more or less probable.
  bool is_written() const { return task_.kind == EvaluationTask::Kind::kAnswer; }

  void load(const Communicator& communicator) {
    speaker_.load(communicator);
    speaker_.use(adapter_);
    if (is_written()) answers_ = std::make_unique<Answers>(speaker_, task_, adapter_, options_.engine, generation_);
    else likelihoods_ = std::make_unique<Likelihoods>(speaker_, task_, adapter_, options_);
    take_items();
    settings_["task"] = task_.fingerprint;
    add_files(settings_, "data", files_);
    add_files(settings_, "examples", examples_);
    add_speaker(settings_, speaker_, adapter_);
    if (task_.through_template()) settings_["template"] = speaker_.template_of(adapter_).fingerprint;
    if (!is_written()) settings_["batch-size"] = std::to_string(options_.engine.batch_size);
  }

  /// What results are of: the same on every rank.
  const AnswerSettings& settings() const { return settings_; }

  Signal write(KeptAnswers& kept) { return answers_->write(kept); }
  std::vector<Outcome> written(const KeptAnswers& kept) { return answers_->outcomes(items_, kept); }
  std::vector<Outcome> measured(Communicator& communicator) { return likelihoods_->outcomes(items_, communicator); }

  EvaluationResults results(const std::vector<Outcome>& outcomes) {
    EvaluationResults out;
    const auto& o = speaker_.options();
    out.set("model", o.model);
    out.set("model_fingerprint", speaker_.fingerprint());
    if (adapter_) {
      out.set("adapter", o.trained_folder(adapter_));
      out.set("adapter_fingerprint", settings_.at("adapter"));
    }
    if (task_.through_template()) {
      out.set("template", speaker_.template_of(adapter_).name);
      out.set("template_fingerprint", speaker_.template_of(adapter_).fingerprint);
    }
    out.set("tokenizer_fingerprint", speaker_.tokenizer().fingerprint);
    out.set("task", task_.name);
    out.set("task_file", options_.task);
    out.set("task_fingerprint", task_.fingerprint);
    out.set("data", join(files_));
    out.set("data_fingerprint", content_of(files_));
    out.set("records", std::to_string(items_.size()));
    if (left_out_ > 0) out.set("left_out", fmt::format("{}, too long for the context", left_out_));
    out.set("shots", std::to_string(task_.shots));
    if (is_written()) out.set("generation", fmt::format("temperature {}, at most {} new tokens", generation_.sampling.temperature, generation_.max_new_tokens));
    out.values = values_of(task_, outcomes);
    return out;
  }

 private:
  void check_references() const {
    for (const auto& item : items_) check_reference(task_, item);
    if (task_.judge || std::ranges::any_of(items_, [](const auto& item) { return !item.reference.empty(); })) return;
    throw DataError({.who = join(files_), .found = "no record with a right answer", .expected = "one at least, by task '" + task_.name + "'", .remedy = "herd predict writes answers that are held against nothing"});
  }

  void take_items() {
    std::vector<EvaluationItem> taken;
    for (auto& item : items_) {
      const auto too_long = is_written() ? answers_->take(item) : likelihoods_->take(item);
      if (too_long && !options_.skip_too_long) throw DataError(*too_long);
      if (too_long) ++left_out_;
      else taken.push_back(std::move(item));
    }
    items_ = std::move(taken);
    const auto context = speaker_.model().facts.max_positions;
    if (items_.empty()) throw DataError({.who = join(files_), .found = "no record that fits", .expected = fmt::format("one that a context of {} has room for", context), .remedy = ""});
    if (left_out_ > 0) log_info("{} left out: too long for a context of {}", plural(left_out_, "record"), context);
  }

  const EvaluateOptions& options_;
  EvaluationTask task_;
  std::optional<std::size_t> adapter_;
  std::vector<std::string> files_, examples_;
  AnswerSettings settings_;
  std::vector<EvaluationItem> items_;  // after load() without those that are too long
  std::int64_t left_out_ = 0;
  Speaker speaker_;
  GenerationOptions generation_;
  std::unique_ptr<Answers> answers_;  // one of the two
  std::unique_ptr<Likelihoods> likelihoods_;
};

int evaluate_on_rank(EvaluateOptions& options, const AnswerSettings& settings) {
  auto communicator = make_communicator("auto", {.deadline_s = kPatience_s});
  set_log_rank(communicator->rank(), communicator->size());
  const bool first = communicator->rank() == 0;
  std::optional<KeptAnswers> kept;
  try {
    const auto evaluation = agree(*communicator, [&] {
      options.validate();
      return std::make_unique<Evaluation>(options, options.asked_task(), settings);
    });
    use_threads(options.speaker.threads, *communicator);
    use_device(options.speaker, communicator);
    agree(*communicator, [&] { evaluation->load(*communicator); });
    check_same(evaluation->settings(), "herd evaluate", *communicator);
    agree(*communicator, [&] {
      if (first) open_evaluation(options.output);
    });
    std::vector<Outcome> outcomes;
    if (evaluation->is_written()) {
      kept.emplace(fs::path(options.output), evaluation->settings(), *communicator);
      if (const auto signal = evaluation->write(*kept); signal != Signal::none) {
        kept->end(false);
        return exit_code(signal);
      }
    } else {
      outcomes = evaluation->measured(*communicator);
    }
    agree(*communicator, [&] {
      if (!first) return;
      if (kept) outcomes = evaluation->written(*kept);
      const auto results = evaluation->results(outcomes);
      write_evaluation(options.output, results, outcomes);
      std::fputs(results_table(results).c_str(), stdout);
    });
    if (kept) kept->end(true);
    return kExitSuccess;
  } catch (const std::exception& error) {
    return fail_on_rank(error, kept ? &kept->folder() : nullptr, *communicator);
  }
}

int list_tasks() {
  std::vector<std::vector<std::string>> rows;
  for (const auto& [name, task] : evaluation_tasks()) rows.push_back({name, task.description});
  std::fputs(text_table(rows, "ll").c_str(), stdout);
  return kExitSuccess;
}

}  // namespace

int evaluate_command(int argc, char** argv) {
  const std::string_view verb = argc > 1 ? argv[1] : "";
  if (verb == "tasks" && argc == 2) return list_tasks();
  if (verb == "judge") return evaluate_judge(argc - 1, argv + 1);
  if (verb == "compare") return evaluate_compare(argc - 1, argv + 1);
  CLI::App app("Measures a model by a task, on the ranks that mpirun or srun started.\n`herd evaluate tasks` lists them, `judge` has a model mark answers, `compare` sets results side by side.", "herd evaluate");
  EvaluateOptions options;
  declare(app, options);
  if (!parse_arguments(app, argc, argv)) return kExitSuccess;
  if (app.count("--max-new-tokens")) options.max_new_tokens = options.sampling.generation.max_new_tokens;
  while (options.output.ends_with('/')) options.output.pop_back();  // its answers are kept beside it
  return evaluate_on_rank(options, given_settings(app));
}

}  // namespace herd
