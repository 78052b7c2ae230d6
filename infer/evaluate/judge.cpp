#include "infer/evaluate/judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "data/format/json_objects.h"
#include "data/format/python_text.h"
#include "infer/metrics/answers.h"
#include "runtime/base/file.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

namespace fs = std::filesystem;
using Key = std::pair<std::string, std::int64_t>;  // of a question, its pass

constexpr std::int64_t kReplies = 3;  // a judge without a mark is asked again so often

std::string ledger_line(const Key& key, const std::string& name, double mark, const std::string& reply) {
  const nlohmann::ordered_json json{{"question", key.first}, {"pass", key.second}, {"name", name}, {"mark", mark}, {"reply", reply}};
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::map<Key, double> read_ledger(const fs::path& file, const std::string& text) {
  std::map<Key, double> marks;
  for (const auto& line : split(text, '\n')) {
    const auto json = nlohmann::json::parse(line, nullptr, false);
    if (!json.is_object()) continue;  // a run that was killed leaves half of a line
    try {
      marks[{json.at("question").get<std::string>(), json.at("pass").get<std::int64_t>()}] = json.at("mark").get<double>();
    } catch (const nlohmann::json::exception&) {
      throw DataError({.who = file.string(), .found = line.substr(0, 80), .expected = "a mark: question, pass and mark", .remedy = "remove that line to have its answer judged again"});
    }
  }
  return marks;
}

}  // namespace

std::map<std::string, std::string> read_judge_prompts(const fs::path& file) {
  std::map<std::string, std::string> prompts;
  for_each_object(file, [&](const JsonObject& object) { prompts[normal_answer(object.text("class"))] = object.text("prompt"); });
  return prompts;
}

std::string judge_prompt(const JudgeTask& task, const std::map<std::string, std::string>& prompts, const Outcome& outcome) {
  const auto named = prompts.find(outcome.category);
  const bool with_reference = std::ranges::find(task.without_reference, outcome.category) == task.without_reference.end();
  return fmt::format("{} {}{} 模型回答： '{}'。请针对模型回答给出得分，顺便给出理由：", named == prompts.end() ? task.prompt : named->second, outcome.question,
                     with_reference ? " 标准回答： " + outcome.reference : "", outcome.answer);
}

JudgeReport judge_answers(Judge& judge, const JudgeTask& task, const std::map<std::string, std::string>& prompts, std::int64_t passes, const fs::path& ledger,
                          std::vector<Outcome>& outcomes) {
  JudgeReport report;
  const auto before = fs::exists(ledger) ? read_file(ledger) : "";
  const auto known = read_ledger(ledger, before);
  File file(ledger, File::Mode::append);
  if (!before.empty() && !before.ends_with('\n')) file.write("\n");  // behind a line that a killed run left half written
  std::map<std::string, std::int64_t> asked;  // two records may be one question
  for (auto& outcome : outcomes) {
    const auto prompt = judge_prompt(task, prompts, outcome);
    const auto question = fingerprint(prompt);
    std::vector<double> marks;
    for (std::int64_t pass = 0; pass < passes; ++pass) {
      const Key key{question, asked[question]++};
      if (const auto kept = known.find(key); kept != known.end()) {
        marks.push_back(kept->second);
        ++report.kept;
        continue;
      }
      std::optional<double> mark;
      JudgeReply reply;
      for (std::int64_t i = 0; i < kReplies && !mark && report.down.empty(); ++i) {
        reply = judge.ask(prompt);
        if (reply.down) report.down = reply.why;
        if (!reply.text) break;
        mark = mark_in(*reply.text);
      }
      if (mark) {
        file.write(ledger_line(key, outcome.name, *mark, *reply.text));
        marks.push_back(*mark);
        ++report.marks;
      } else if (reply.text) {
        if (report.without_mark++ == 0) log_warning("{}: the judge's reply has no mark from 0 to 1 behind '得分:': {}", outcome.name, reply.text->substr(0, 80));
      } else {
        if (report.unanswered++ == 0) log_warning("{}: the judge gave no reply: {}", outcome.name, reply.why);
      }
    }
    outcome.scores.erase("judge");
    double sum = 0;
    for (const auto mark : marks) sum += mark;
    if (!marks.empty()) outcome.scores["judge"] = sum / static_cast<double>(marks.size());
  }
  return report;
}

}  // namespace herd
