#include "infer/evaluate/items.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <optional>
#include <utility>

#include "data/format/json_objects.h"
#include "data/readers/columns.h"
#include "data/readers/fault.h"
#include "data/readers/splitter.h"
#include "data/template/jinja/program.h"
#include "data/tokenizer/utf8.h"
#include "runtime/base/file.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

namespace fs = std::filesystem;
using TakeObject = std::function<void(const JsonObject&)>;

/// What a form sees: a field that is null is not there, and shows as nothing, where Jinja would show `None`.
Json without_nulls(const Json& value) {
  if (!value.is_object() && !value.is_array()) return value;
  auto out = value.is_object() ? Json::object() : Json::array();
  for (const auto& [key, field] : value.items())
    if (value.is_array()) out.push_back(without_nulls(field));
    else if (!field.is_null()) out[key] = without_nulls(field);
  return out;
}

/// `anatomy` of anatomy_test.csv.
std::string subject_of(const fs::path& file) {
  auto stem = file.stem().string();
  for (const auto* end : {"_test", "_val", "_dev"})
    if (stem.ends_with(end)) return stem.substr(0, stem.size() - std::string_view(end).size());
  return stem;
}

class CsvFile {
 public:
  CsvFile(const fs::path& file, const std::vector<std::string>& fields) : file_(file), names_(fields) {}

  void each(const TakeObject& take) {
    try {
      TextInput in(file_.string());
      const auto rows = split_csv(in);
      RecordSlice row;
      while (rows->next(row)) {
        ++count_;
        line_ = row.line;
        require_text(row.text);
        this->row(row_fields(row.text, ','), take);
      }
    } catch (const RecordFault& fault) {
      refuse(fault.found, fault.expected, fault.remedy);
    }
    if (count_ == 0) refuse("no row", "records");
  }

 private:
  void row(const std::vector<std::string>& cells, const TakeObject& take) {
    const auto has = [&](const std::string& name) { return std::ranges::find(cells, name) != cells.end(); };
    if (count_ == 1 && std::ranges::all_of(names_, has)) return void(names_ = cells);
    if (cells.size() != names_.size()) refuse(fmt::format("{} columns", cells.size()), fmt::format("{}: {}", names_.size(), join(names_)));
    Json object = Json::object();
    for (std::size_t i = 0; i < cells.size(); ++i) object[names_[i]] = cells[i];
    take(JsonObject(object, place()));
  }
  std::string place() const { return fmt::format("{}:{} (row {})", file_.string(), line_, count_); }
  [[noreturn]] void refuse(const std::string& found, const std::string& expected, const std::string& remedy = "") const {
    throw DataError({.who = count_ ? place() : file_.string(), .found = found, .expected = expected, .remedy = remedy});
  }

  const fs::path& file_;
  std::vector<std::string> names_;
  std::uint32_t line_ = 0, count_ = 0;
};

void for_each_record(const EvaluationTask& task, const fs::path& file, const TakeObject& take) {
  if (task.whole_file) {
    const auto text = read_file(file);
    require_utf8(text, file.string());
    const Json object{{"text", text}};
    take(JsonObject(object, file.string()));
  } else if (file.extension() == ".csv") {
    CsvFile(file, task.fields).each(take);
  } else {
    for_each_object(file, take);
  }
}

/// A task's forms, and a record put through them.
class Forms {
 public:
  explicit Forms(const EvaluationTask& task)
      : task_(task), prompt_(task.prompt), instruction_(task.instruction), input_(task.input), reference_(task.reference), category_(task.category),
        intro_(task.intro), question_(task.question.empty() ? task.prompt + task.instruction : task.question), options_(task.options) {
    for (const auto& choice : task.choices) choices_.emplace_back(choice);
  }

  /// @param intro what stands before the examples of its category.
  EvaluationItem item(const JsonObject& object, const std::string& subject, std::string* intro = nullptr) const {
    auto fields = without_nulls(object.value());
    for (const auto& field : task_.fields)
      if (!fields.contains(field))
        throw object.error("no field '" + field + "'", fmt::format("{}, as task '{}' has them", join(task_.fields), task_.name), "is the task the one for this file?");
    fields["record"] = Json(fields);
    fields["file"] = subject;
    try {
      EvaluationItem out{.name = object.place()};
      if (task_.through_template()) out.record = instruction_record(instruction_.render(fields), input_.render(fields), "");
      else out.prompt = prompt_.render(fields);
      out.reference = reference_.render(fields);
      out.category = category_.render(fields);
      out.question = question_.render(fields);
      out.options = options_.render(fields);
      if (task_.kind == EvaluationTask::Kind::kPerplexity && out.prompt->empty()) throw object.error("an empty text", "one that can be more or less probable", "leave it out");
      if (task_.kind == EvaluationTask::Kind::kChoice) take_choices(out, object, fields);
      if (intro) *intro = intro_.render(fields);
      return out;
    } catch (const DataError& error) {
      auto complaint = error.complaint();
      if (!complaint.who.starts_with(object.place())) complaint.who = fmt::format("{}: {}", object.place(), complaint.who);
      throw DataError(complaint);
    }
  }

 private:
  void take_choices(EvaluationItem& item, const JsonObject& object, const Json& fields) const {
    for (const auto& choice : choices_) item.choices.push_back(choice.render(fields));
    if (!task_.choices_in.empty())
      for (const auto& choice : object.at(task_.choices_in, "an array")) {
        if (!choice.is_string()) throw object.error(fmt::format("a choice that is no string: {}", choice.dump().substr(0, 40)), "strings");
        item.choices.push_back(choice);
      }
    if (item.choices.size() < 2 || std::ranges::find(item.choices, "") != item.choices.end()) throw object.error(fmt::format("{} choices, or an empty one", item.choices.size()), "two or more");
    item.right = right_of(item, object);
  }

  std::size_t right_of(const EvaluationItem& item, const JsonObject& object) const {
    using Is = EvaluationTask::Reference;
    std::vector<std::pair<const char*, std::size_t>> readings;
    const auto read = [&](Is is, const char* what, std::optional<std::size_t> choice) {
      if (choice && *choice < item.choices.size() && (task_.reference_is == Is::kTold || task_.reference_is == is)) readings.emplace_back(what, *choice);
    };
    read(Is::kText, "text", place_of_text(item));
    read(Is::kLetter, "letter", place_of_letter(item.reference));
    read(Is::kNumber, "number", place_of_number(item.reference));
    if (readings.empty())
      throw object.error(fmt::format("the right answer '{}'", item.reference), fmt::format("one of {} choices: {}", item.choices.size(), wanted()));
    for (const auto& [what, choice] : readings)
      if (choice != readings.front().second)
        throw object.error(fmt::format("the right answer '{}', the {} of choice {} and the {} of choice {}", item.reference, readings.front().first, readings.front().second, what, choice),
                           "one that means one choice (they count from 0)", "a task with `reference_is: text`, `letter` or `number`");
    return readings.front().second;
  }

  const char* wanted() const {
    switch (task_.reference_is) {
      case EvaluationTask::Reference::kText: return "its text";
      case EvaluationTask::Reference::kLetter: return "its letter";
      case EvaluationTask::Reference::kNumber: return "its number from 0";
      default: return "its text, its letter, or its number from 0";
    }
  }

  static std::optional<std::size_t> place_of_text(const EvaluationItem& item) {
    const auto found = std::ranges::find(item.choices, item.reference);
    return found == item.choices.end() ? std::nullopt : std::optional(static_cast<std::size_t>(found - item.choices.begin()));
  }
  static std::optional<std::size_t> place_of_letter(std::string_view text) {
    return text.size() == 1 && text[0] >= 'A' && text[0] <= 'Z' ? std::optional(static_cast<std::size_t>(text[0] - 'A')) : std::nullopt;
  }
  static std::optional<std::size_t> place_of_number(std::string_view text) {
    std::size_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && end == text.data() + text.size() ? std::optional(number) : std::nullopt;
  }

  const EvaluationTask& task_;
  jinja::Program prompt_, instruction_, input_, reference_, category_, intro_, question_, options_;
  std::vector<jinja::Program> choices_;
};

/// The examples that a record's prompt begins with.
std::string examples_for(const EvaluationTask& task, const EvaluationItem& item, const std::vector<EvaluationItem>& examples) {
  std::string text;
  std::int64_t count = 0;
  for (const auto& example : examples) {
    if (count == task.shots || example.category != item.category) continue;
    text += *example.prompt + task.delimiter + (example.choices.empty() ? example.reference : example.choices[example.right]) + task.between;
    ++count;
  }
  if (count < task.shots)
    throw DataError({.who = item.name, .found = fmt::format("{} examples{}", count, item.category.empty() ? "" : " of " + item.category),
                     .expected = fmt::format("{}, as task '{}' has it", task.shots, task.name), .remedy = fmt::format("--examples FILE, or --shots {}", count)});
  return text;
}

}  // namespace

std::vector<EvaluationItem> read_items(const EvaluationTask& task, std::span<const std::string> data, std::span<const std::string> examples, std::int64_t limit) {
  const Forms forms(task);
  std::vector<EvaluationItem> shots, items;
  if (task.shots > 0)
    for (const auto& file : examples) for_each_record(task, file, [&](const JsonObject& object) { shots.push_back(forms.item(object, subject_of(file))); });
  for (const auto& file : data) {
    std::int64_t count = 0;
    for_each_record(task, file, [&](const JsonObject& object) {
      if (limit > 0 && count++ >= limit) return;
      std::string intro;
      auto item = forms.item(object, subject_of(file), &intro);
      if (item.prompt) item.prompt = (intro.empty() ? "" : intro + task.between) + examples_for(task, item, shots) + *item.prompt;
      items.push_back(std::move(item));
    });
  }
  return items;
}

}  // namespace herd
