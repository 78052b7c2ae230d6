#include "data/readers/format.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/readers/fault.h"
#include "data/readers/formats.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

using Names = std::vector<std::string>;

std::size_t lacking(const Json& object, const Names& names) {
  return static_cast<std::size_t>(std::count_if(names.begin(), names.end(), [&](const auto& name) { return !object.contains(name); }));
}

/// The list of fields that tells `format` here, or null.
const Names* telling(const RecordFormat& format, const Json& object) {
  if (std::any_of(format.never_with.begin(), format.never_with.end(), [&](const auto& name) { return object.contains(name); })) return nullptr;
  for (const auto& names : format.told_by)
    if (lacking(object, names) == 0) return &names;
  return nullptr;
}

bool holds_more(const Names& all, const Names& some) {
  return all.size() > some.size() && std::all_of(some.begin(), some.end(), [&](const auto& name) { return std::find(all.begin(), all.end(), name) != all.end(); });
}

std::string names_of(const Json& object) {
  Names names;
  for (const auto& [name, value] : object.items()) names.push_back("'" + name + "'");
  if (names.size() > 12) names.resize(12), names.push_back("…");
  return names.empty() ? "no field at all" : "the fields " + join(names);
}

/// The format that most of its fields speak for, with what is missing of it.
std::string nearest_format(const Json& object) {
  std::string best;
  std::size_t fewest = 100;
  for (const auto& [name, format] : record_formats()) {
    for (const auto& names : format.told_by) {
      const auto missing = lacking(object, names);
      if (missing == names.size() || missing >= fewest) continue;
      fewest = missing;
      Names lack;
      for (const auto& field : names)
        if (!object.contains(field)) lack.push_back("'" + field + "'");
      best = lack.empty() ? "" : fmt::format("'{}' would be the nearest, but there is no field {}", name, join(lack));
    }
  }
  return best;
}

}  // namespace

const Table<RecordFormat>& record_formats() {
  static const Table<RecordFormat> table{
      "record format",
      {
          {"alpaca", {"instruction, input and output; earlier turns in `history`, or inside of the instruction as Alpaca-CoT and BELLE have them",
                      "{instruction, output}", {{"instruction", "output"}}, {}, false, read_alpaca}},
          {"sharegpt", {"turns of human and gpt, as ShareGPT, FastChat and BELLE have them", "{conversations: [{from, value}]}",
                        {{"conversations"}}, {"chosen"}, false, read_sharegpt}},
          {"openai", {"messages with roles, as OpenAI has them, and herd itself", "{messages: [{role, content}]}",
                      {{"messages"}}, {"chosen"}, false, read_openai}},
          {"moss", {"MOSS's turns with thoughts, commands and results; the older one as one text", "{chat: {turn_1}} or {plain_text}",
                    {{"chat"}, {"plain_text"}}, {}, false, read_moss}},
          {"airoboros", {"instruction and response, with more turns inside of either", "{instruction, response}",
                         {{"instruction", "response"}}, {"context"}, false, read_airoboros}},
          {"dolly", {"Dolly's instruction, context and response", "{instruction, context, response}",
                     {{"instruction", "context", "response"}}, {}, false, read_dolly}},
          {"chatglm", {"ChatGLM's prompt, response and history", "{prompt, response}", {{"prompt", "response"}}, {}, false, read_chatglm}},
          {"preference", {"a wanted and an unwanted answer to the same", "{chosen, rejected}", {{"chosen", "rejected"}}, {}, false, read_preference}},
          {"belle_eval", {"BELLE's evaluation set", "{question, std_answer}", {{"question", "std_answer"}}, {}, false, read_belle_eval}},
          {"self_instruct", {"seed tasks, one record for each instance", "{instruction, instances}", {{"instruction", "instances"}}, {}, false,
                             read_self_instruct}},
          {"mt_bench", {"MT-bench's questions, without answers", "{question_id, turns}", {{"question_id", "turns"}}, {}, false, read_mt_bench}},
          {"mmcu", {"MMCU's multiple choice", "{题目, 选项, 答案}", {{"题目", "选项", "答案"}}, {}, false, read_mmcu}},
          {"prompt", {"prompts, without answers", "{prompt} without a response", {{"prompt"}}, {}, true, read_prompt}},
          {"text", {"text to go on learning the language from: a document a line, or in JSON", "a name in .txt, or {text}", {{"text"}}, {}, true,
                    read_text_object, read_text_line}},
          {"query_answer", {"a question and an answer a line, as chinese_chatbot_corpus writes them", "lines with one tab", {}, {}, false, nullptr,
                            read_query_answer}},
          {"cot", {"question, answer and reasoning a line: to be formatted by `herd data format` first", "lines with two tabs", {}, {}, false, nullptr,
                   read_cot}},
          {"csv", {"comma-separated columns under a header", "a name in .csv"}},
          {"tsv", {"tab-separated columns under a header", "tabs in the first line, and names of fields or of `columns` between them"}},
      }};
  return table;
}

std::string recognise(const Json& object) {
  struct Candidate {
    std::string name;
    const Names* by;
    bool last_resort;
  };
  std::vector<Candidate> candidates;
  for (const auto& [name, format] : record_formats())
    if (const auto* by = telling(format, object)) candidates.push_back({name, by, format.last_resort});
  const auto weaker = [&](const Candidate& one) {
    return std::any_of(candidates.begin(), candidates.end(),
                       [&](const Candidate& other) { return (one.last_resort && !other.last_resort) || holds_more(*other.by, *one.by); });
  };
  Names left;
  for (const auto& candidate : candidates)
    if (!weaker(candidate)) left.push_back(candidate.name);

  if (left.size() == 1) return left.front();
  if (left.empty())
    throw RecordFault{.found = "a record of no known format: " + names_of(object), .expected = "one of the formats " + join(record_formats().names()),
                .remedy = nearest_format(object)};
  throw RecordFault{.found = names_of(object) + ", which could be any of " + join(left), .expected = "the fields of one format",
              .remedy = "say which: data format: " + left.front()};
}

}  // namespace herd
