#include "launch/evaluate_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "data/readers/paths.h"
#include "infer/answer_share.h"
#include "infer/evaluate/items.h"
#include "infer/evaluate/results.h"
#include "launch/command_line.h"
#include "launch/evaluate_compare.h"
#include "launch/evaluate_judge.h"
#include "launch/evaluate_likelihood.h"
#include "launch/predict_watch.h"
#include "launch/rank_failure.h"
#include "launch/run_start.h"
#include "models/hub.h"
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
  Evaluation(const EvaluateOptions& options, EvaluationTask task)
      : options_(options), task_(std::move(task)), adapter_(options.speaker.used_adapter(options.use)), files_(expand_paths(options.data)),
        items_(read_items(task_, files_, expand_paths(options.examples), options.limit)), speaker_(options.speaker) {
    if (task_.kind == EvaluationTask::Kind::kPerplexity || !task_.through_template()) speaker_.prompt("", adapter_);  // its tokenizer is training's
    else speaker_.template_of(adapter_);
    generation_ = options.sampling.in(speaker_.encoder());
    generation_.max_new_tokens = task_.max_new_tokens;
    generation_.stop.insert(generation_.stop.end(), task_.stop.begin(), task_.stop.end());
  }

  void load(const Communicator& communicator) {
    speaker_.load(communicator);
    engine_ = speaker_.engine(options_.engine);
    speaker_.use(adapter_);
    if (task_.kind != EvaluationTask::Kind::kAnswer) return;
    if (options_.skip_too_long) leave_out_too_long();
    for (std::size_t i = 0; i < items_.size(); ++i) {
      const auto asked = request(i);
      engine_->check(asked);
      tokens_.push_back(std::ssize(asked.prompt.ids));
    }
  }

  std::vector<Outcome> outcomes(Communicator& communicator) {
    switch (task_.kind) {
      case EvaluationTask::Kind::kPerplexity: return measure_texts(speaker_, options_, items_, communicator);
      case EvaluationTask::Kind::kChoice: return measure_choices(speaker_, options_, items_, adapter_, task_.delimiter, communicator);
      default: return answered(communicator);
    }
  }

  EvaluationResults results(const std::vector<Outcome>& outcomes) {
    EvaluationResults out;
    const auto& o = speaker_.options();
    out.set("model", o.model);
    out.set("model_fingerprint", speaker_.fingerprint());
    if (adapter_) {
      out.set("adapter", o.trained_folder(adapter_));
      out.set("adapter_fingerprint", content_of(expand_paths(std::vector{(fs::path(o.trained_folder(adapter_)) / "adapter_*").string()})));
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
    if (task_.kind == EvaluationTask::Kind::kAnswer) out.set("generation", fmt::format("temperature {}, at most {} new tokens", generation_.sampling.temperature, generation_.max_new_tokens));
    out.values = values_of(task_, outcomes);
    return out;
  }

 private:
  void leave_out_too_long() {
    const auto context = speaker_.model().facts.max_positions;
    std::vector<EvaluationItem> fit;
    for (std::size_t i = 0; i < items_.size(); ++i)
      if (std::ssize(request(i).prompt.ids) < context) fit.push_back(items_[i]);
    left_out_ = std::ssize(items_) - std::ssize(fit);
    items_ = std::move(fit);
    if (items_.empty()) throw DataError({.who = join(files_), .found = "no question that fits", .expected = fmt::format("one of less than {} tokens", context), .remedy = ""});
    if (left_out_ > 0) log_info("{} left out: too long for a context of {}", plural(left_out_, "record"), context);
  }

  Request request(std::size_t number) {
    const auto& item = items_[number];
    Request request{.prompt = item.prompt ? speaker_.prompt(*item.prompt, adapter_) : speaker_.prompt(item.record, adapter_), .options = generation_, .adapter = adapter_};
    request.prompt.name = item.name;
    request.prompt.number = number;
    return request;
  }

  /// What was put to the model, as the seeds' files have it before the answer.
  std::string asked(const EvaluationItem& item) {
    return item.prompt ? *item.prompt : text_of(render_prompt(speaker_.template_of(adapter_), item.record), "", "");
  }

  std::vector<Outcome> answered(Communicator& communicator) {
    std::vector<std::pair<std::size_t, std::string>> mine;
    PredictWatch watch(0, std::ssize(items_), communicator.rank() == 0);
    answer_share(*engine_, options_.engine.batch_size, communicator,
                 {.share = share_of(tokens_, communicator.rank(), communicator.size()),
                  .request = [&](std::size_t number) { return request(number); },
                  .store = [&](std::size_t number, const Generation& generation) { mine.emplace_back(number, generation.text); },
                  .signal = [] { return Signal::none; },
                  .told = [&](std::int64_t done, std::int64_t new_tokens) { watch(done, new_tokens); }});
    std::vector<Outcome> outcomes(items_.size());
    const auto lines = nlohmann::json(mine).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    const auto parts = all_gather_string(communicator, lines);
    agree(communicator, [&] {
      for (const auto& part : parts)
        for (auto& [number, text] : nlohmann::json::parse(part).get<std::vector<std::pair<std::size_t, std::string>>>()) {
          auto& outcome = outcomes[number] = outcome_of(items_[number]);
          outcome.asked = asked(items_[number]);
          mark_answer(outcome, task_, items_[number], std::move(text));
        }
    });
    return outcomes;
  }

  const EvaluateOptions& options_;
  EvaluationTask task_;
  std::optional<std::size_t> adapter_;
  std::vector<std::string> files_;
  std::vector<EvaluationItem> items_;
  std::int64_t left_out_ = 0;
  Speaker speaker_;
  GenerationOptions generation_;
  std::unique_ptr<Engine> engine_;
  std::vector<std::int64_t> tokens_;
};

int evaluate_on_rank(EvaluateOptions& options) {
  auto communicator = make_communicator("auto", {.deadline_s = kPatience_s});
  set_log_rank(communicator->rank(), communicator->size());
  try {
    const auto evaluation = agree(*communicator, [&] {
      options.validate();
      return std::make_unique<Evaluation>(options, options.asked_task());
    });
    use_threads(options.speaker.threads, *communicator);
    use_device(options.speaker, communicator);
    agree(*communicator, [&] { evaluation->load(*communicator); });
    const auto outcomes = evaluation->outcomes(*communicator);
    agree(*communicator, [&] {
      if (communicator->rank() != 0) return;
      const auto results = evaluation->results(outcomes);
      write_evaluation(options.output, results, outcomes);
      std::fputs(results_table(results).c_str(), stdout);
    });
    return kExitSuccess;
  } catch (const std::exception& error) {
    return fail_on_rank(error, nullptr, *communicator);
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
  return evaluate_on_rank(options);
}

}  // namespace herd
