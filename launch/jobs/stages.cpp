#include "launch/jobs/stages.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "launch/commands.h"
#include "launch/jobs/shell.h"
#include "runtime/base/error.h"

namespace herd {
namespace {

using Words = std::vector<std::string>;

bool gives(const Words& words, std::string_view option) {
  return std::ranges::any_of(words, [&](const auto& word) { return word == option || word.starts_with(std::string(option) + "="); });
}

void add_missing(Words& words, const std::string& option, const std::string& value) {
  if (!gives(words, option)) words.insert(words.end(), {option, value});
}

void put_run(std::string& word, const std::string& folder) {
  constexpr std::string_view kRun = "%run";
  for (auto at = word.find(kRun); at != std::string::npos; at = word.find(kRun, at + folder.size())) word.replace(at, kRun.size(), folder);
}

Words read_line(const std::string& line, const TrainedRun& run) {
  auto words = split_words(line);
  const auto refuse = [&](const std::string& found) {
    return ConfigError({.who = "--then '" + line + "'",
                        .found = found,
                        .expected = "a herd command line, such as merge or evaluate --task gsm8k --data test.jsonl",
                        .remedy = ""});
  };
  if (words.empty()) throw refuse("no command");
  commands().at(words.front());
  constexpr std::array kNoJobs{"chat", "serve", "submit", "runs", "train"};
  if (std::ranges::find(kNoJobs, words.front()) != kNoJobs.end()) throw refuse("'" + words.front() + "', which is no stage");
  for (auto& word : words) put_run(word, run.folder.string());
  return words;
}

}  // namespace

std::vector<Stage> stages_of(const std::vector<std::string>& lines, const TrainedRun& run) {
  std::vector<Stage> stages;
  auto merged = run.adapter ? std::string() : (run.folder / "model").string();  // a whole model, once there is one
  for (const auto& line : lines) {
    auto words = read_line(line, run);
    const auto command = words.front();
    const bool speaks = command == "evaluate" || command == "predict";
    if (command == "merge") {
      if (!run.adapter || run.base.empty())
        throw ConfigError({.who = "--then '" + line + "'",
                           .found = run.adapter ? "an adapter of random weights" : "a run that leaves a whole model",
                           .expected = "an adapter and the folder of its base",
                           .remedy = "leave the stage out"});
      add_missing(words, "--model", run.base);
      add_missing(words, "--adapter", (run.folder / "adapter").string());
      add_missing(words, "--output", (run.folder / "merged").string());
      const auto output = std::ranges::find(words, "--output");
      if (output != words.end() && output + 1 != words.end()) merged = *(output + 1);
    }
    if (speaks && !gives(words, "--model")) {
      add_missing(words, "--model", merged.empty() ? run.base : merged);
      if (merged.empty()) add_missing(words, "--adapter", (run.folder / "adapter").string());
    }
    if (command == "evaluate") add_missing(words, "--output", (run.folder / "evaluation").string());
    const auto again = std::ranges::count_if(stages, [&](const auto& stage) { return stage.command.front() == command; });
    stages.push_back({.name = again == 0 ? command : command + std::to_string(again + 1), .command = std::move(words), .on_ranks = speaks});
  }
  return stages;
}

}  // namespace herd
