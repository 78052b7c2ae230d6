#include "infer/evaluate/judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "data/format/json_objects.h"
#include "infer/metrics/answers.h"
#include "runtime/base/file.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

namespace fs = std::filesystem;
using Key = std::pair<std::string, std::int64_t>;  // of a question, its pass

constexpr std::int64_t kReplies = 3;  // a judge without a mark is asked again so often

/// The number that `text` begins with, from 0 to 1; a number that goes on as another one (0.8/10, 80%) is none.
std::optional<double> mark_at(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t\n*\"'"), text.size()));
  double mark = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mark, std::chars_format::fixed);
  if (error != std::errc{} || !(mark >= 0 && mark <= 1)) return std::nullopt;
  const auto rest = text.substr(static_cast<std::size_t>(end - text.data()));
  if (rest.starts_with("/1") && !(rest.size() > 2 && (rest[2] == '0' || rest[2] == '.'))) return mark;
  if (rest.starts_with("/") || rest.starts_with("%")) return std::nullopt;
  return mark;
}

std::string ledger_line(const Key& key, const std::string& name, double mark, const std::string& reply) {
  const nlohmann::ordered_json json{{"question", key.first}, {"pass", key.second}, {"name", name}, {"mark", mark}, {"reply", reply}};
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::map<Key, double> read_ledger(const fs::path& file) {
  std::map<Key, double> marks;
  if (!fs::exists(file)) return marks;
  const auto text = read_file(file);
  for (std::size_t begin = 0; begin < text.size();) {
    const auto end = std::min(text.find('\n', begin), text.size());
    const auto json = nlohmann::json::parse(text.begin() + static_cast<std::ptrdiff_t>(begin), text.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
    if (json.is_object() && json.contains("mark")) marks[{json.value("question", ""), json.value("pass", std::int64_t{0})}] = json.value("mark", 0.0);  // a last line may be half of one
    begin = end + 1;
  }
  return marks;
}

}  // namespace

std::optional<double> mark_in(std::string_view reply) {
  const auto text = half_width(reply);
  std::optional<double> found;
  for (const std::string_view word : {"得分", "分数", "score", "Score"})
    for (auto at = text.find(word); at != text.npos; at = text.find(word, at + 1)) {
      auto rest = std::string_view(text).substr(at + word.size());
      rest.remove_prefix(std::min(rest.find_first_not_of(" *\"'"), rest.size()));
      if (!rest.starts_with(":")) continue;
      if (const auto mark = mark_at(rest.substr(1))) found = mark;
    }
  if (found) return found;
  const auto alone = normal_answer(reply);
  return !alone.empty() && alone.find_first_not_of("0123456789.") == alone.npos ? mark_at(alone) : std::nullopt;
}

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
  const auto known = read_ledger(ledger);
  File file(ledger, File::Mode::append);
  if (!known.empty()) file.write("\n");  // behind a line that a killed run left half written
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
