#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "infer/endpoint.h"
#include "infer/evaluate/outcome.h"

namespace herd {

/// What became of a question to a judge.
struct JudgeReply {
  std::optional<std::string> text;
  std::string why;    ///< there is none
  bool down = false;  ///< asking more is of no use: nobody there, they say nothing, or do not let us in
};

/// Who marks answers.
class Judge {
 public:
  virtual ~Judge() = default;
  virtual JudgeReply ask(const std::string& prompt) = 0;
};

/// A chat model behind POST URL/chat/completions.
std::unique_ptr<Judge> endpoint_judge(EndpointOptions options);

/// The mark in a reply: the number from 0 to 1 behind `得分`, `分数` or `score` (of any case) and a colon, or that the reply is nothing but. It may say its scale where that is 1
/// (`0.5 / 1`). None where a number behind such a word is another one (`8`, `1 / 10`, `80 %`, `0-1`, `1 out of 10`, `1分，满分10分`), where two differ, and for anything else.
std::optional<double> mark_in(std::string_view reply);

/// A file of BELLE's form, JSON lines or an array of {class, prompt}: how to mark each category, names in lower case. @throws IoError, DataError
std::map<std::string, std::string> read_judge_prompts(const std::filesystem::path& file);

/// What the judge is asked of an answer, in Alpaca-CoT's words: prompt, question, reference unless the task keeps it back, answer.
std::string judge_prompt(const JudgeTask& task, const std::map<std::string, std::string>& prompts, const Outcome& outcome);

struct JudgeReport {
  std::int64_t marks = 0, kept = 0;  ///< given now; found in the ledger
  std::int64_t without_mark = 0;     ///< questions whose replies had none
  std::int64_t unanswered = 0;       ///< questions without a reply, those after the judge was given up included
  std::string down;                  ///< why the judge was given up; empty: it was not
};

/// Asks the judge `passes` times of each answer; the mean of the marks becomes its score `judge`. An answer without any mark has none: it is no 0.
/// @param ledger JSON lines of all marks, by question and pass: what it holds already is not asked again. A reply without a mark is not kept.
/// @throws IoError; DataError for a line of the ledger that is whole, and no mark.
JudgeReport judge_answers(Judge& judge, const JudgeTask& task, const std::map<std::string, std::string>& prompts, std::int64_t passes,
                          const std::filesystem::path& ledger, std::vector<Outcome>& outcomes);

}  // namespace herd
