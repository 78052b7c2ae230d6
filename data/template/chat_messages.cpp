#include "data/template/chat_messages.h"

#include <set>
#include <utility>

#include "data/tokenizer/utf8.h"
#include "runtime/base/error.h"

namespace herd {
namespace {

using Json = nlohmann::ordered_json;

constexpr char32_t kFirstMark = 0xe000, kLastMark = 0xf8ff, kFirstFarMark = 0xf0000, kLastFarMark = 0x10fffd;

bool is_private(char32_t c) { return (c >= kFirstMark && c <= kLastMark) || (c >= kFirstFarMark && c <= kLastFarMark); }

/// Private characters that neither the record nor the template has.
class Marks {
 public:
  void avoid(std::string_view text) {
    if (is_ascii(text)) return;
    for (std::size_t at = 0; at < text.size();)
      if (const auto c = next_code_point(text, at); is_private(c)) taken_.insert(c);
  }

  std::string next() {
    while (taken_.contains(at_)) step();
    std::string out;
    append_code_point(out, at_);
    step();
    return out;
  }

 private:
  void step() { at_ = at_ == kLastMark ? kFirstFarMark : at_ + 1; }
  std::set<char32_t> taken_;
  char32_t at_ = kFirstMark;
};

/// The calls that a text is, with objects as arguments; null where it is something else.
Json calls_of(const std::string& text) {
  auto parsed = Json::parse(text, nullptr, false);
  if (parsed.is_object()) parsed = Json::array({parsed});
  if (!parsed.is_array() || parsed.empty()) return nullptr;
  auto out = Json::array();
  for (auto& call : parsed) {
    if (!call.is_object()) return nullptr;
    auto function = call.contains("function") ? call["function"] : call;
    if (!function.is_object() || !function.contains("name") || !function["name"].is_string() || !function.contains("arguments")) return nullptr;
    auto arguments = function["arguments"];
    if (arguments.is_string()) arguments = Json::parse(arguments.get<std::string>(), nullptr, false);  // as OpenAI writes them
    if (!arguments.is_object()) return nullptr;
    Json kept{{"type", "function"}};
    if (call.contains("id") && call["id"].is_string()) kept["id"] = call["id"];
    kept["function"] = {{"name", function["name"]}, {"arguments", std::move(arguments)}};
    out.push_back(std::move(kept));
  }
  return out;
}

class Builder {
 public:
  explicit Builder(Marks marks) : marks_(std::move(marks)) {}

  void add_message(const char* role, bool model) {
    out_.messages.push_back({.plain = {{"role", role}}, .marked = {{"role", role}}, .model = model});
  }

  void put(const char* key, const std::string& text, std::int32_t turn) {
    out_.messages.back().plain[key] = text;
    out_.messages.back().marked[key] = marked(text, turn);
  }

  void put_calls(const Json& calls, std::int32_t turn) {
    auto& message = out_.messages.back();
    message.composite = true;
    message.plain["tool_calls"] = calls;
    auto copy = calls;
    for (auto& call : copy) mark_leaves(call["function"], turn);
    message.marked["tool_calls"] = std::move(copy);
  }

  /// Of a tool's answer: what the call said.
  void put_own(const char* key, const Json& value) {
    out_.messages.back().plain[key] = value;
    out_.messages.back().marked[key] = value;
  }

  ChatMessage& last() { return out_.messages.back(); }
  ChatMessages take() { return std::move(out_); }

 private:
  std::string marked(const std::string& text, std::int32_t turn) {
    if (text.empty()) return text;  // a mark would be true where the text is false
    out_.marks.push_back({text, marks_.next(), out_.messages.size() - 1, turn});
    return out_.marks.back().mark;
  }

  void mark_leaves(Json& json, std::int32_t turn) {
    if (json.is_string())
      json = marked(json.get<std::string>(), turn);
    else if (json.is_structured())
      for (auto& part : json) mark_leaves(part, turn);
  }

  Marks marks_;
  ChatMessages out_;
};

}  // namespace

ChatMessages chat_messages(const Record& record, std::size_t turns, std::string_view template_text) {
  Marks marks;
  marks.avoid(template_text);
  marks.avoid(record.system);
  for (const auto& turn : record.turns) {
    marks.avoid(turn.text);
    marks.avoid(turn.input);
  }
  Builder out(std::move(marks));
  if (!record.system.empty()) {
    out.add_message("system", false);
    out.put("content", record.system, -1);
  }
  std::vector<std::size_t> thoughts;
  Json calls;  // not answered yet
  const auto open = [&](bool calling) {
    const std::size_t most = calling ? 2 : 1;
    if (thoughts.size() > most)
      throw DataError({.who = "chat template", .found = std::to_string(thoughts.size()) + " thoughts before " + (calling ? "a call" : "an answer"),
                       .expected = calling ? "two, what is thought and what is said" : "one", .remedy = "join them in the record"});
    out.add_message("assistant", true);
    // What is said beside a call is read as a thought before it; before an answer a thought is reasoning.
    const char* key = calling ? "content" : "reasoning_content";
    if (calling && thoughts.empty()) out.put("content", "", -1);
    for (std::size_t i = thoughts.size(); i-- > 0; key = "reasoning_content") out.put(key, record.turns[thoughts[i]].text, static_cast<std::int32_t>(thoughts[i]));
    out.last().composite = !thoughts.empty();
    thoughts.clear();
  };
  for (std::size_t i = 0; i < turns; ++i) {
    const auto& turn = record.turns[i];
    const auto place = static_cast<std::int32_t>(i);
    if (turn.role == Role::kThought) {
      thoughts.push_back(i);
    } else if (turn.role == Role::kCall) {
      calls = calls_of(turn.text);
      open(!calls.is_null());
      if (calls.is_null()) out.put("content", turn.text, place);
      else out.put_calls(calls, place);
    } else if (turn.role == Role::kAssistant) {
      open(false);
      out.put("content", turn.text, place);
    } else if (turn.role == Role::kTool) {
      out.add_message("tool", false);
      if (!calls.empty()) {
        out.put_own("name", calls[0]["function"]["name"]);
        if (calls[0].contains("id")) out.put_own("tool_call_id", calls[0]["id"]);
        calls.erase(0);
      }
      out.put("content", turn.text, place);
    } else {
      out.add_message("user", false);
      out.put("content", turn.input.empty() ? turn.text : turn.text + "\n" + turn.input, place);
    }
  }
  if (!thoughts.empty()) {
    open(false);
    out.put("content", "", -1);
  }
  return out.take();
}

}  // namespace herd
