#include "data/format/json_objects.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "data/format/line_reader.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

using Json = nlohmann::ordered_json;

/// Where one object of a text ends and the next begins, told by braces outside strings. The objects are parsed apart; what stands between
/// them is judged here.
class ObjectScanner {
 public:
  ObjectScanner(const LineReader& lines, const std::function<void(const JsonObject&)>& take) : lines_(lines), take_(take) {}

  void line(std::string_view text) {
    for (const char c : text) depth_ > 0 ? inside(c) : between(c);
    if (depth_ > 0) object_ += '\n';
  }

  void end() {
    if (depth_ > 0) throw at(begin_, "an object without its end", "'}'", "is the file whole?");
    if (count_ == 0) throw lines_.error_at(lines_.line(), "no object", "a JSON array of objects, or one object on each line");
    if (state_ == State::kInArray) throw lines_.error("an array without its end", "']'", "is the file whole?");
  }

 private:
  enum class State { kBegin, kLines, kInArray, kAfterArray };

  void between(char c) {
    if (c == ' ' || c == '\t') return;
    if (c == '{' && state_ != State::kAfterArray && (state_ != State::kInArray || count_ == 0 || comma_)) {
      if (state_ == State::kBegin) state_ = State::kLines;
      begin_ = lines_.line();
      depth_ = 1;
      object_ = c;
      return;
    }
    if (c == '[' && state_ == State::kBegin) return void(state_ = State::kInArray);
    if (c == ',' && state_ == State::kInArray && count_ > 0 && !comma_) return void(comma_ = true);
    if (c == ']' && state_ == State::kInArray && !comma_) return void(state_ = State::kAfterArray);
    ++count_;
    throw at(lines_.line(), fmt::format("'{}'", c), "a JSON array of objects, or one object on each line");
  }

  void inside(char c) {
    object_ += c;
    if (in_string_) {
      if (escaped_) escaped_ = false;
      else if (c == '\\') escaped_ = true;
      else if (c == '"') in_string_ = false;
      return;
    }
    if (c == '"') in_string_ = true;
    if (c == '{') ++depth_;
    if (c == '}' && --depth_ == 0) hand_over();
  }

  void hand_over() {
    ++count_;
    comma_ = false;
    const auto value = Json::parse(object_, nullptr, false);
    if (value.is_discarded()) throw at(begin_, "broken JSON", "an object");
    take_(JsonObject(value, fmt::format("{}:{} (record {})", lines_.path().string(), begin_, count_)));
  }

  DataError at(std::uint32_t line, std::string found, std::string expected, std::string remedy = "") const {
    return DataError({.who = fmt::format("{}:{} (record {})", lines_.path().string(), line, count_ + (depth_ > 0)),
                      .found = std::move(found),
                      .expected = std::move(expected),
                      .remedy = std::move(remedy)});
  }

  const LineReader& lines_;
  const std::function<void(const JsonObject&)>& take_;
  State state_ = State::kBegin;
  std::string object_;
  std::uint32_t begin_ = 0, count_ = 0;
  int depth_ = 0;
  bool in_string_ = false, escaped_ = false, comma_ = false;
};

}  // namespace

void for_each_object(const std::filesystem::path& path, const std::function<void(const JsonObject&)>& take) {
  LineReader lines(path);
  ObjectScanner scanner(lines, take);
  std::string line;
  while (lines.next(line)) scanner.line(line);
  scanner.end();
}

const Json* JsonObject::find(std::string_view key, std::string_view kind) const {
  const auto found = value_.find(key);
  if (found == value_.end() || found->is_null()) return nullptr;
  if (kind_of(*found) != kind) throw error(fmt::format("{} in field '{}'", kind_of(*found), key), std::string(kind));
  return &*found;
}

const Json& JsonObject::at(std::string_view key, std::string_view kind) const {
  if (const auto* found = find(key, kind)) return *found;
  std::vector<std::string> names;
  for (const auto& [name, ignored] : value_.items()) names.push_back(name);
  const auto close = nearest(key, names);
  throw error(fmt::format("no field '{}'", key), std::string(kind),
              close.empty() || close == key ? "" : fmt::format("is '{}' meant to be '{}'?", close, key));
}

std::string JsonObject::text(std::string_view key) const { return at(key, "a string").get<std::string>(); }

std::string JsonObject::text_or(std::string_view key, std::string other) const {
  const auto* found = find(key, "a string");
  return found ? found->get<std::string>() : std::move(other);
}

bool JsonObject::flag(std::string_view key) const {
  const auto* found = find(key, "a truth value");
  return found && found->get<bool>();
}

DataError JsonObject::error(std::string found, std::string expected, std::string remedy) const {
  return DataError({.who = place_, .found = std::move(found), .expected = std::move(expected), .remedy = std::move(remedy)});
}

}  // namespace herd
