#include "infer/instruct/drafts.h"

#include <algorithm>
#include <utility>

#include "data/format/airoboros.h"
#include "data/template/jinja/text.h"
#include "runtime/base/error.h"

namespace herd {
namespace {

using Parts = std::vector<std::pair<std::string, std::string>>;  // label, text

std::string stripped(std::string_view text) { return std::string(jinja::strip(text)); }

/// The labels that an instructor has, in order: a passage comes before the question about it.
std::vector<std::string> labels_of(const Instructor& instructor) {
  const auto& of = instructor.labels;
  const bool passage = instructor.form == Instructor::Form::kClosedContext;
  std::vector<std::string> out;
  for (const auto* label : {&of.system, &of.metadata, passage ? &of.input : &of.instruction, passage ? &of.instruction : &of.input,
                            &of.output, &of.user, &of.assistant})
    if (!label->empty()) out.push_back(*label);
  return out;
}

std::string_view without(std::string_view text, std::string_view signs) {
  text.remove_prefix(std::min(text.find_first_not_of(signs), text.size()));
  return text;
}

/// What follows a label at the beginning of a line; nothing where it does not stand there.
std::optional<std::string_view> behind(std::string_view line, const std::string& label) {
  line = without(line, " \t#*->0123456789.)、");
  if (jinja::lower(line.substr(0, label.size())) != jinja::lower(label)) return std::nullopt;
  line = without(line.substr(label.size()), " \t0123456789*");
  for (const std::string_view colon : {":", "："})
    if (line.starts_with(colon)) return without(line.substr(colon.size()), "*");
  return std::nullopt;
}

/// A line that only parts records, `###` or `---`, or a list's number that was left alone.
bool parting(std::string_view line) { return jinja::strip(line).find_first_not_of("#-=*0123456789. ") == std::string_view::npos; }

/// The text without such lines at its end.
std::string without_parting(std::string text) {
  for (;;) {
    text = std::string(jinja::rstrip(text));
    const auto line = text.rfind('\n') == text.npos ? 0 : text.rfind('\n') + 1;
    const auto last = std::string_view(text).substr(line);
    // A number alone may be the answer: it parts nothing unless a sign or a stop says so.
    if (last.empty() || !parting(last) || last.find_first_not_of("0123456789 ") == last.npos) return stripped(text);
    if (line == 0 && last.find_first_not_of("0123456789. ") == last.npos) return stripped(text);
    text.resize(line);
  }
}

class Splitter {
 public:
  explicit Splitter(const Instructor& instructor) : labels_(labels_of(instructor)), turns_(instructor.of_turns()) {}

  std::vector<Parts> split(std::string_view text) {
    for (const auto line : jinja::split_lines(text)) add(line);
    for (auto& record : records_)
      for (auto& [label, part] : record) part = without_parting(std::move(part));
    return std::move(records_);
  }

 private:
  void add(std::string_view line) {
    for (std::size_t i = 0; i < labels_.size(); ++i) {
      const auto rest = behind(line, labels_[i]);
      if (!rest || !begins(i)) continue;
      if (i == 0) records_.emplace_back();
      at_ = i;
      records_.back().emplace_back(labels_[i], *rest);
      return;
    }
    if (!records_.empty()) records_.back().back().second += "\n" + std::string(line);
  }

  bool begins(std::size_t label) const {
    if (label == 0) return true;
    return !records_.empty() && (turns_ ? label != at_ : label > at_);
  }

  const std::vector<std::string> labels_;
  const bool turns_;
  std::vector<Parts> records_;
  std::size_t at_ = 0;
};

std::string part(const Parts& parts, const std::string& label) {
  const auto found = std::ranges::find(parts, label, &Parts::value_type::first);
  return label.empty() || found == parts.end() ? "" : found->second;
}

/// `key: value` a line. @throws DataError for another line.
std::vector<std::pair<std::string, std::string>> metadata_of(std::string_view text) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto line : jinja::split_lines(text)) {
    if (jinja::strip(line).empty()) continue;
    const auto colon = line.find(':');
    if (colon == line.npos) throw DataError({.who = "metadata", .found = std::string(line), .expected = "key: value", .remedy = ""});
    out.emplace_back(jinja::strip(without(line.substr(0, colon), " -*")), jinja::strip(line.substr(colon + 1)));
  }
  return out;
}

void put_answer(const Instructor& instructor, std::string answer, const ContextBlock& block, Record& record) {
  if (instructor.form == Instructor::Form::kCodeAlone) answer = code_alone(answer);
  if (instructor.cite) answer = with_sources(answer, std::span(&block, 1));
  record.turns.push_back({.role = Role::kAssistant, .text = std::move(answer), .input = ""});
}

Record single_record(const Instructor& instructor, const Parts& parts) {
  const auto& labels = instructor.labels;
  auto instruction = part(parts, labels.instruction), input = part(parts, labels.input);
  if (jinja::lower(input) == jinja::lower(labels.nothing) || jinja::lower(input) == "<" + jinja::lower(labels.nothing) + ">") input.clear();
  ContextBlock block;
  if (instructor.form == Instructor::Form::kClosedContext) {
    block = {.metadata = metadata_of(part(parts, labels.metadata)), .text = input};
    if (input.empty()) throw DataError({.who = "a closed context", .found = "no passage", .expected = "one", .remedy = ""});
    instruction = closed_context(std::span(&block, 1), instruction);
    input.clear();
  }
  if (instructor.form == Instructor::Form::kCodeAlone) instruction = plain_format(instruction);
  Record record;
  record.system = part(parts, labels.system);
  record.turns = {{.role = Role::kUser, .text = std::move(instruction), .input = std::move(input)}};
  if (!instructor.in_two_steps()) put_answer(instructor, part(parts, labels.output), block, record);
  return record;
}

Record conversation(const Instructor& instructor, const Parts& parts) {
  Record record;
  record.system = parts.front().second;
  for (const auto& [label, text] : parts) {
    if (label == instructor.labels.user) record.turns.push_back({.role = Role::kUser, .text = text, .input = ""});
    if (label == instructor.labels.assistant) record.turns.push_back({.role = Role::kAssistant, .text = text, .input = ""});
  }
  if (record.turns.empty() || record.turns.front().role != Role::kUser)
    throw DataError({.who = "a conversation", .found = "no turn of the user", .expected = "one first", .remedy = ""});
  if (record.turns.back().role == Role::kUser) record.turns.pop_back();  // nobody answers it
  return record;
}

Draft draft_of(const Instructor& instructor, const Parts& parts) {
  Draft draft;
  try {
    draft.question = part(parts, instructor.of_turns() ? instructor.labels.user : instructor.labels.instruction);
    const auto question = Turn{.role = Role::kUser, .text = draft.question, .input = ""};
    if (draft.question.empty()) draft.rejection = Rejection::kMalformed;
    else draft.rejection = screen_question(question, instructor.bounds);
    if (draft.rejection) return draft;
    draft.record = instructor.of_turns() ? conversation(instructor, parts) : single_record(instructor, parts);
  } catch (const DataError&) {  // what is no closed context, code, or conversation
    draft.rejection = Rejection::kMalformed;
    return draft;
  }
  draft.record.category = instructor.name;
  draft.record.language = instructor.language;
  for (const auto& turn : draft.record.turns)
    if (turn.role == Role::kUser && !forbidden_word(turn.text + "\n" + turn.input, instructor.forbidden).empty())
      draft.rejection = Rejection::kForbidden;
  auto bounds = instructor.bounds;
  bounds.longest_instruction = 0;  // a closed context makes it longer
  if (!draft.rejection && !instructor.in_two_steps()) draft.rejection = screen(draft.record, bounds);
  return draft;
}

}  // namespace

std::vector<Draft> drafts_of(const Instructor& instructor, const ChatReply& reply) {
  std::vector<Draft> out;
  if (!reply.text) {
    out.emplace_back().rejection = Rejection::kUnanswered;
    return out;
  }
  for (const auto& parts : Splitter(instructor).split(*reply.text)) out.push_back(draft_of(instructor, parts));
  if (out.empty()) out.emplace_back().rejection = refuses(*reply.text) ? Rejection::kRefused : Rejection::kMalformed;
  if (reply.finish == "length") out.back().rejection = Rejection::kUnfinished;
  return out;
}

std::optional<Rejection> add_answer(const Instructor& instructor, const ChatReply& reply, Record& record) {
  if (!reply.text) return Rejection::kUnanswered;
  if (reply.finish == "length") return Rejection::kUnfinished;
  try {
    put_answer(instructor, stripped(*reply.text), {}, record);
  } catch (const DataError&) {  // code whose fence does not end
    return Rejection::kMalformed;
  }
  return screen_answer(record.turns.back().text, instructor.bounds);
}

}  // namespace herd
