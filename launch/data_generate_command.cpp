#include "launch/data_generate_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <memory>
#include <optional>
#include <utility>

#include "infer/instruct/produce.h"
#include "launch/near_arguments.h"
#include "runtime/base/config_files.h"
#include "runtime/base/error.h"
#include "runtime/base/file.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"
#include "runtime/report/status_line.h"
#include "runtime/report/text_table.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

struct GenerateArguments {
  std::string kind, key = "HERD_ENDPOINT_KEY";
  ProduceRequest request;
  NearArguments near;
  fs::path seeds, topics;
  std::optional<std::int64_t> examples, batch, max_tokens;
  std::optional<double> temperature;
  std::int64_t own = 0;
  std::uint64_t seed = 1;
};

/// What herd brings along for a language: `instructors/seeds_en.jsonl`.
fs::path shipped(const std::string& stem, const std::string& language, const std::string& ending) {
  const auto name = fmt::format("instructors/{}_{}{}", stem, language == "CN" ? "zh" : "en", ending);
  for (const auto& folder : config_folders())
    if (auto file = folder / name; fs::exists(file)) return file;
  throw ConfigError({.who = "--" + stem,
                     .found = "none, and herd's own are not installed",
                     .expected = "a file",
                     .remedy = "HERD_CONFIGS names further folders"});
}

std::string of_file(const fs::path& file) { return file.empty() ? "none" : fingerprint(read_file(file)); }

Instructor instructor_of(const GenerateArguments& asked) {
  auto instructor = find_instructor(asked.kind);
  if (asked.examples && (*asked.examples > 0) != (instructor.examples > 0))
    throw ConfigError({.who = "--examples",
                       .found = std::to_string(*asked.examples),
                       .expected = instructor.examples > 0 ? "1 or more: the prompt of '" + instructor.name + "' shows some"
                                                           : "none: the prompt of '" + instructor.name + "' shows none",
                       .remedy = ""});
  instructor.examples = asked.examples.value_or(instructor.examples);
  instructor.batch = asked.batch.value_or(instructor.batch);
  instructor.max_tokens = asked.max_tokens.value_or(instructor.max_tokens);
  instructor.temperature = asked.temperature.value_or(instructor.temperature);
  return instructor;
}

/// All that prompts come of. The rest (count, bounds, prices, how many at once) may change from run to run.
AnswerSettings settings_of(const GenerateArguments& asked, const Instructor& instructor, const fs::path& seeds, const fs::path& topics) {
  AnswerSettings settings{{"kind", fmt::format("{} of content {}", instructor.name, instructor.fingerprint)},
                          {"model", asked.request.endpoint.model},
                          {"seeds", of_file(seeds)},
                          {"topics", of_file(topics)},
                          {"seed", std::to_string(asked.seed)},
                          {"examples", std::to_string(instructor.examples)},
                          {"batch", std::to_string(instructor.batch)},
                          {"max-tokens", std::to_string(instructor.max_tokens)},
                          {"temperature", fmt::format("{:g}", instructor.temperature)}};
  if (asked.own == 0) return settings;
  // What was generated is shown, and which that is these decide.
  settings["own-examples"] = std::to_string(asked.own);
  settings["parallel"] = std::to_string(asked.request.production.window);
  settings["near duplicates"] = asked.request.production.near.text();
  return settings;
}

void tell(const ProduceReport& report, const ProduceRequest& request) {
  fmt::print("{} of {} wanted, of {}; rejected: {}\n", plural(report.records, "record"), with_thousands(request.production.count),
             plural(report.requests, "request"), told(report.rejected));
  fmt::print("{} ({} from before): {} tokens of prompts, {} of answers{}{}\n",
             report.replies == 1 ? "1 reply" : with_thousands(report.replies) + " replies", with_thousands(report.replies_before),
             with_thousands(report.prompt_tokens), with_thousands(report.answer_tokens),
             report.uncounted > 0 ? fmt::format(", without {} that the service did not count", report.uncounted) : "",
             request.prices.in > 0 || request.prices.out > 0 ? fmt::format("; cost {:.4f}", report.cost) : "");
  if (report.records > 0) fmt::print("{}: {}\n", request.output.string(), plural(report.records, "record"));
}

/// Why a generation ended before there was all, and what to do about it.
std::pair<std::string, std::string> told_end(const ProduceReport& report, const ProduceRequest& request) {
  if (report.end == ProduceEnd::kCost)
    return {fmt::format("the greatest cost of {:g} was reached", request.prices.most),
            "the replies are kept; a greater --max-cost goes on"};
  if (report.end == ProduceEnd::kDown) return {report.why, "the replies are kept; the same command goes on"};
  return {fmt::format("{} in a row gave no record ({})", plural(request.production.patience, "request"),
                      report.why.empty() ? "rejected: " + told(report.rejected) : report.why),
          "look at what the model says in " + replies_folder(request.output).string() + "/replies.log; a greater --patience goes on"};
}

/// @throws DataError where there are not as many records as wanted, and nobody stopped it.
void require_all(const ProduceReport& report, const ProduceRequest& request) {
  const auto found = fmt::format("{} of {}", report.records, plural(request.production.count, "record"));
  if (report.end == ProduceEnd::kReached) return;
  if (report.end == ProduceEnd::kSignal)
    return log_info("{}: {}; the replies are kept, the same command goes on", name(report.signal), found);
  const auto [why, remedy] = told_end(report, request);
  throw DataError({.who = "herd data generate", .found = found + ": " + why, .expected = "all of them", .remedy = remedy});
}

void check(const GenerateArguments& asked) {
  const auto& request = asked.request;
  request.endpoint.validate("--endpoint");
  if (fs::exists(request.output) && !fs::exists(replies_folder(request.output)))
    throw ConfigError({.who = "--output " + request.output.string(),
                       .found = "a file that is there, without replies to go on from",
                       .expected = "a new one",
                       .remedy = ""});
  if (request.prices.most > 0 && request.prices.in == 0 && request.prices.out == 0)
    throw ConfigError({.who = "--max-cost", .found = "no price", .expected = "--price-in and --price-out", .remedy = ""});
}

std::string progress_line(std::int64_t records, double cost, const ProduceRequest& request) {
  const auto all = request.production.count;
  return fmt::format("{:3}% {}/{} records{}", 100 * records / all, with_thousands(records), with_thousands(all),
                     request.prices.in > 0 || request.prices.out > 0 ? fmt::format("  cost {:.4f}", cost) : "");
}

/// @return the exit code.
int generate(GenerateArguments& asked) {
  auto& request = asked.request;
  request.production.near = asked.near.bound();
  if (const auto* key = std::getenv(asked.key.c_str())) request.endpoint.key = key;
  check(asked);
  const auto instructor = instructor_of(asked);
  // Seeds that no prompt shows still count: nothing is to be like them.
  const auto seeds = !asked.seeds.empty() || instructor.examples == 0 ? asked.seeds : shipped("seeds", instructor.language, ".jsonl");
  const auto topics = !asked.topics.empty() || instructor.topics == 0 ? asked.topics : shipped("topics", instructor.language, ".txt");
  request.settings = settings_of(asked, instructor, seeds, topics);
  const Asking asking(instructor, seeds.empty() ? std::vector<SeedTask>() : read_seed_tasks(seeds),
                      topics.empty() ? std::vector<std::string>() : read_topics(topics), asked.seed, asked.own);
  ProduceReport report;
  {
    const Signals signals;
    StatusLine line;
    request.signal = [&] { return signals.pending(); };
    request.told = [&](std::int64_t records, double cost) {
      if (line.due()) line.show(progress_line(records, cost, request));
    };
    report = produce(asking, request);
  }
  tell(report, request);
  require_all(report, request);
  return exit_code(report.signal);
}

void declare_service(CLI::App& command, GenerateArguments& asked) {
  auto& endpoint = asked.request.endpoint;
  endpoint.timeout_s = 300;
  command.add_option("--endpoint", endpoint.url, "an OpenAI-compatible service, such as http://127.0.0.1:8000/v1 (herd serve is one)")
      ->required();
  command.add_option("--model", endpoint.model, "its model")->required();
  command.add_option("--key-from", asked.key, "the variable of the environment that holds the service's key")->capture_default_str();
  command.add_option("--parallel", asked.request.production.window, "requests under way at once")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  command.add_option("--attempts", endpoint.attempts, "at each question, while the service is silent, busy or broken")
      ->capture_default_str();
  command.add_option("--wait", endpoint.first_wait_s, "seconds before the second attempt, doubled before each further one")
      ->capture_default_str();
  command.add_option("--timeout", endpoint.timeout_s, "longest silence, in seconds")->capture_default_str();
  auto& prices = asked.request.prices;
  command.add_option("--price-in", prices.in, "of a million tokens of prompts")->check(CLI::NonNegativeNumber);
  command.add_option("--price-out", prices.out, "of a million tokens of answers")->check(CLI::NonNegativeNumber);
  command.add_option("--max-cost", prices.most, "no request is begun once that much was paid")->check(CLI::NonNegativeNumber);
}

}  // namespace

void add_data_generate(CLI::App& data, int& code) {
  auto asked = std::make_shared<GenerateArguments>();
  auto* command = data.add_subcommand("generate", "writes records that a chat model makes up after seed tasks and topics");
  command->add_option("--kind", asked->kind, "one of `herd data kinds`, or a file of that form")->required();
  declare_service(*command, *asked);
  auto& production = asked->request.production;
  command->add_option("--count", production.count, "records wanted")->check(CLI::PositiveNumber)->capture_default_str();
  command->add_option("--output", asked->request.output, "JSON lines to write; replies are kept in FILE.replies")->required();
  command->add_option("--seeds", asked->seeds, "seed tasks: a file of records; default: herd's own");
  command->add_option("--topics", asked->topics, "a topic a line; default: herd's own");
  command->add_option("--examples", asked->examples, "seed tasks in a prompt; default: the kind's");
  command->add_option("--own-examples", asked->own, "so many of these are of what was generated")->capture_default_str();
  command->add_option("--batch", asked->batch, "instructions that a prompt asks for; default: the kind's")->check(CLI::Range(1, 100));
  command->add_option("--seed", asked->seed, "of the choice of examples and topics")->capture_default_str();
  command->add_option("--temperature", asked->temperature, "default: the kind's")->check(CLI::Range(0.0, 2.0));
  command->add_option("--max-tokens", asked->max_tokens, "longest reply; default: the kind's")->check(CLI::PositiveNumber);
  command->add_option("--patience", production.patience, "requests in a row without a record, after which it ends")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  declare(*command, asked->near);
  command->footer(
      "herd data generate --kind self_instruct_zh --endpoint http://127.0.0.1:8000/v1 --model base --count 1000 --output made.jsonl");
  command->final_callback([asked, &code] { code = generate(*asked); });

  auto* kinds = data.add_subcommand("kinds", "kinds of records that can be generated");
  kinds->final_callback([] {
    std::vector<std::vector<std::string>> rows;
    for (const auto& [name, instructor] : shipped_instructors()) rows.push_back({name, instructor.language, instructor.description});
    fmt::print("{}", text_table(rows, "lll"));
  });
}

}  // namespace herd
