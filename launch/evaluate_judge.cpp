#include "launch/evaluate_judge.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "infer/evaluate/judge.h"
#include "infer/evaluate/results.h"
#include "launch/command_line.h"
#include "runtime/base/exit_codes.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

/// The task of an evaluation, as it was.
EvaluationTask task_of(const EvaluationResults& results, const std::string& folder) {
  auto task = find_evaluation_task(results.of("task_file"));
  if (task.fingerprint != results.of("task_fingerprint"))
    throw DataError({.who = folder, .found = "answers to a task '" + task.name + "' of fingerprint " + results.of("task_fingerprint"), .expected = task.fingerprint + ", which it has now", .remedy = "evaluate again"});
  if (!task.judge) throw ConfigError({.who = "task '" + task.name + "'", .found = "no 'judge'", .expected = "one, as in task belle", .remedy = ""});
  return task;
}

int judge_folder(const std::string& folder, EndpointOptions endpoint, const std::string& prompts_file, std::int64_t passes) {
  endpoint.validate();
  auto results = read_results(folder);
  const auto task = task_of(results, folder);
  const auto prompts = prompts_file.empty() ? std::map<std::string, std::string>() : read_judge_prompts(prompts_file);
  auto outcomes = read_outcomes(folder);
  const auto name = fmt::format("{} at {}, temperature {}", endpoint.model, endpoint.url, endpoint.temperature);
  const auto judge = endpoint_judge(std::move(endpoint));
  // Marks of one judge are no marks of another.
  const auto ledger = std::filesystem::path(folder) / fmt::format("judgements-{}.jsonl", fingerprint(name).substr(0, 8));
  const auto report = judge_answers(*judge, *task.judge, prompts, passes, ledger, outcomes);
  const auto judged = std::ranges::count_if(outcomes, [](const Outcome& outcome) { return outcome.scores.contains("judge"); });
  results.set("judge", name);
  results.set("judgements", fmt::format("{} of {} passes over {} answers; {} without a mark, {} unanswered; {} answers judged", report.marks + report.kept, passes, outcomes.size(),
                                        report.without_mark, report.unanswered, judged));
  results.values = values_of(task, outcomes);
  write_evaluation(folder, results, outcomes);
  std::fputs(results_table(results).c_str(), stdout);
  log_info("{} new marks, {} from before", report.marks, report.kept);
  if (report.without_mark + report.unanswered == 0) return kExitSuccess;
  throw DataError({.who = "the judge", .found = fmt::format("{} without a mark, {} unanswered{}", plural(report.without_mark, "judgement"), report.unanswered, report.down.empty() ? "" : " (" + report.down + ")"),
                   .expected = fmt::format("a mark from 0 to 1 for each of {}", plural(passes * std::ssize(outcomes), "judgement")),
                   .remedy = "no such judgement counts as 0; the same command asks for those that are missing"});
}

}  // namespace

int evaluate_judge(int argc, char** argv) {
  CLI::App app("Has a chat model mark the answers of an evaluation.", "herd evaluate judge");
  std::string folder, prompts, key = "HERD_JUDGE_KEY";
  EndpointOptions endpoint;
  std::int64_t passes = 3;
  app.add_option("folder", folder, "what herd evaluate --output wrote")->required();
  app.add_option("--judge", endpoint.url, "an OpenAI-compatible service, such as http://127.0.0.1:8000/v1")->required();
  app.add_option("--judge-model", endpoint.model, "its model")->required();
  app.add_option("--key-from", key, "the variable of the environment that holds the service's key")->capture_default_str();
  app.add_option("--prompts", prompts, "JSON records {class, prompt}: how to mark each category; default: the task's");
  app.add_option("--passes", passes, "judgements of each answer, whose mean counts")->check(CLI::Range(1, 100))->capture_default_str();
  app.add_option("--temperature", endpoint.temperature, "of the judge")->capture_default_str();
  app.add_option("--attempts", endpoint.attempts, "at each question, while the service is silent, busy or broken")->capture_default_str();
  app.add_option("--wait", endpoint.first_wait_s, "seconds before the second attempt, doubled before each further one")->capture_default_str();
  app.add_option("--timeout", endpoint.timeout_s, "longest silence, in seconds")->capture_default_str();
  if (!parse_arguments(app, argc, argv)) return kExitSuccess;
  if (const auto* value = std::getenv(key.c_str())) endpoint.key = value;
  return judge_folder(folder, endpoint, prompts, passes);
}

}  // namespace herd
