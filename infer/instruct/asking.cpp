#include "infer/instruct/asking.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/format/line_reader.h"
#include "data/readers/reader.h"
#include "data/template/jinja/text.h"
#include "runtime/base/error.h"
#include "runtime/base/random.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

/// `wanted` different numbers below `count`, in the order in which they are drawn: the beginning of a Fisher–Yates permutation.
std::vector<std::size_t> draw(std::size_t wanted, std::size_t count, Random& random) {
  std::vector<std::size_t> all(count);
  for (std::size_t i = 0; i < count; ++i) all[i] = i;
  for (std::size_t i = 0; i < std::min(wanted, count); ++i) std::swap(all[i], all[i + random.below(count - i)]);
  all.resize(std::min(wanted, count));
  return all;
}

/// A stream of random numbers of its own for each purpose, so that one more topic changes no example.
Random random_for(const char* purpose, std::uint64_t seed, std::int64_t number) {
  return {seed ^ hash_name(purpose), static_cast<std::uint64_t>(number)};
}

/// Of a generated record its first question and answer.
SeedTask task_of(const Record& record) {
  SeedTask task;
  for (const auto& turn : record.turns) {
    if (turn.role == Role::kUser && task.instruction.empty()) task.instruction = turn.text, task.input = turn.input;
    if (turn.role == Role::kAssistant && task.output.empty()) task.output = turn.text;
  }
  return task;
}

void require(const char* option, const char* what, std::int64_t wanted, std::int64_t there) {
  if (wanted <= there) return;
  throw ConfigError({.who = option,
                     .found = plural(there, what),
                     .expected = fmt::format("{} or more, of which each prompt shows that many", wanted),
                     .remedy = ""});
}

}  // namespace

std::vector<SeedTask> read_seed_tasks(const std::filesystem::path& file) {
  const std::vector<std::string> files{file.string()};
  std::vector<SeedTask> out;
  for (const auto& record : read_records(files).records) {
    const auto& turns = record.turns;
    if (turns.size() != 2 || turns[0].role != Role::kUser || turns[1].role != Role::kAssistant)
      throw DataError({.who = describe(record.source, files),
                       .found = plural(std::ssize(turns), "turn"),
                       .expected = "one question and its answer",
                       .remedy = "examples of a prompt are single tasks"});
    out.push_back({turns[0].text, turns[0].input, turns[1].text});
  }
  return out;
}

std::vector<std::string> read_topics(const std::filesystem::path& file) {
  LineReader lines(file);
  std::vector<std::string> out;
  for (std::string line; lines.next(line);) {
    const auto topic = jinja::strip(line);
    if (!topic.empty() && !topic.starts_with('#')) out.emplace_back(topic);
  }
  if (out.empty()) throw DataError({.who = file.string(), .found = "no topic", .expected = "one a line", .remedy = ""});
  return out;
}

Asking::Asking(Instructor instructor, std::vector<SeedTask> seeds, std::vector<std::string> topics, std::uint64_t seed, std::int64_t own)
    : instructor_(std::move(instructor)), seeds_(std::move(seeds)), topics_(std::move(topics)), seed_(seed), own_(own) {
  if (own_ < 0 || own_ > instructor_.examples)
    throw ConfigError({.who = "--own-examples",
                       .found = std::to_string(own_),
                       .expected = fmt::format("0 to {}, the examples of a prompt", instructor_.examples),
                       .remedy = ""});
  require("--seeds", "seed task", instructor_.examples, std::ssize(seeds_));
  require("--topics", "topic", instructor_.topics, std::ssize(topics_));
}

ChatQuestion Asking::question(std::string prompt) const {
  return {.prompt = std::move(prompt),
          .temperature = instructor_.temperature,
          .top_p = instructor_.top_p,
          .max_tokens = instructor_.max_tokens,
          .stop = instructor_.stop};
}

std::string Asking::examples(std::int64_t number, std::span<const Record> generated, AskedOf& of) const {
  auto random = random_for("examples", seed_, number);
  const auto own = std::min<std::size_t>(static_cast<std::size_t>(own_), generated.size());
  const auto wanted = static_cast<std::size_t>(instructor_.examples);
  std::vector<SeedTask> tasks;
  for (const auto i : draw(wanted - own, seeds_.size(), random)) {
    tasks.push_back(seeds_[i]);
    of.seeds.push_back(static_cast<std::int64_t>(i) + 1);
  }
  for (const auto i : draw(own, generated.size(), random)) {
    tasks.push_back(task_of(generated[i]));
    of.generated.push_back(static_cast<std::int64_t>(i) + 1);
  }
  std::string out;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const auto& task = tasks[i];
    out += (i == 0 ? "" : "\n") + fill_places(instructor_.example,
                                              {{"number", std::to_string(i + 1)},
                                               {"instruction", task.instruction},
                                               {"input", task.input.empty() ? instructor_.labels.nothing : task.input},
                                               {"output", task.output}},
                                              "example");
  }
  return out;
}

/// Topics in a shuffled order, and in another one when all have been asked for: each comes as often as any other.
std::string Asking::topics(std::int64_t number, AskedOf& of) const {
  const auto count = std::ssize(topics_);
  for (auto at = number * instructor_.topics; at < (number + 1) * instructor_.topics; ++at) {
    const auto order = permutation(count, seed_ ^ hash_name("topics"), static_cast<std::uint64_t>(at / count));
    of.topics.push_back(topics_[static_cast<std::size_t>(order[static_cast<std::size_t>(at % count)])]);
  }
  std::string out;
  for (const auto& topic : of.topics) out += (out.empty() ? "- " : "\n- ") + topic;
  return out;
}

Asked Asking::request(std::int64_t number, std::span<const Record> generated) const {
  Asked asked;
  std::map<std::string, std::string> values{{"batch", std::to_string(instructor_.batch)},
                                            {"next", std::to_string(instructor_.examples + 1)}};
  if (instructor_.examples > 0) values["examples"] = examples(number, generated, asked.of);
  if (instructor_.topics > 0) values["topics"] = topics(number, asked.of);
  auto random = random_for("choices", seed_, number);
  for (const auto& choice : instructor_.choices) values[choice.place] = choice.of[random.below(choice.of.size())];
  asked.question = question(fill_places(instructor_.prompt, values, "prompt"));
  return asked;
}

ChatQuestion Asking::answer(const Record& draft) const {
  const auto& turn = draft.turns.at(0);
  return question(fill_places(instructor_.answer_prompt, {{"instruction", turn.text}, {"input", turn.input}}, "answer_prompt"));
}

}  // namespace herd
