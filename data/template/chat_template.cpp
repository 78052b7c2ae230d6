#include "data/template/chat_template.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "data/template/jinja/text.h"
#include "runtime/base/error.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kRemedy = "take a template of herd's own (`herd data templates`), or write a template file: data.template=mine.yaml";

std::string name_of(const Record& record) {
  return record.source.record ? fmt::format("chat template, record {} (line {})", record.source.record, record.source.line) : "chat template";
}

[[noreturn]] void fail(const Record& record, std::string found, std::string expected) {
  throw DataError({.who = name_of(record), .found = std::move(found), .expected = std::move(expected), .remedy = kRemedy});
}

/// Complaints of the template's program, with the record.
template <typename Render>
auto named(const Record& record, Render render) {
  try {
    return render();
  } catch (const DataError& error) {
    auto complaint = error.complaint();
    if (record.source.record && !complaint.who.starts_with(name_of(record))) complaint.who = name_of(record) + ": " + complaint.who;
    throw DataError(complaint);
  }
}

}  // namespace

ChatTemplate::ChatTemplate(std::string source, ChatTokens tokens, const std::tm& now)
    : source_(std::move(source)), tokens_(std::move(tokens)), program_(source_), now_(now) {
  look_at_an_answer();
}

// A question and its answer tell what stands around answers. A template that wants more than these is asked with a system text.
void ChatTemplate::look_at_an_answer() {
  Record record;
  record.turns = {{.role = Role::kUser, .text = "Q"}, {.role = Role::kAssistant, .text = "A"}};
  for (const auto* system : {"", "S"}) {
    record.system = system;
    try {
      const auto chat = chat_messages(record, 2, source_);
      const auto whole = text_of(chat.messages, chat.messages.size(), true, false), prompt = text_of(chat.messages, chat.messages.size() - 1, true, true);
      writes_bos_ = !tokens_.bos.empty() && whole.starts_with(tokens_.bos);
      const auto answer = whole.rfind(chat.marks.back().mark);
      if (answer == whole.npos) return;
      if (whole.starts_with(prompt) && answer >= prompt.size()) frame_.before = whole.substr(prompt.size(), answer - prompt.size());
      const auto after = std::string_view(whole).substr(answer + chat.marks.back().mark.size());
      if (const auto end = end_within(after, false)) {
        frame_.after = after.substr(0, end->size - end->token.size());
        if (end->token != tokens_.eos) frame_.ends.push_back(end->token);
      }
      return;
    } catch (const DataError&) {
    }
  }
}

std::string ChatTemplate::text_of(const std::vector<ChatMessage>& messages, std::size_t count, bool marked, bool prompt) const {
  Json variables{{"messages", Json::array()}, {"tools", nullptr}, {"documents", nullptr}, {"add_generation_prompt", prompt}};
  for (std::size_t i = 0; i < count; ++i) variables["messages"].push_back(marked ? messages[i].marked : messages[i].plain);
  for (const auto& [name, token] : {std::pair{"bos_token", &tokens_.bos}, {"eos_token", &tokens_.eos}, {"unk_token", &tokens_.unk}, {"pad_token", &tokens_.pad}})
    if (!token->empty()) variables[name] = *token;
  return program_.render(variables, now_);
}

std::vector<TextPiece> ChatTemplate::render(const Record& record) const {
  return named(record, [&] {
    const auto chat = chat_messages(record, record.turns.size(), source_);
    return pieces(chat, text_of(chat.messages, chat.messages.size(), false, false), false, record);
  });
}

std::vector<TextPiece> ChatTemplate::render_prompt(const Record& record, std::size_t turns) const {
  return named(record, [&] {
    const auto chat = chat_messages(record, turns, source_);
    const auto prompt = text_of(chat.messages, chat.messages.size(), false, true);
    auto answered = record;
    if (turns == record.turns.size()) answered.turns.push_back({.role = Role::kAssistant, .text = "A"});
    const auto whole = chat_messages(answered, answered.turns.size(), source_);
    if (!text_of(whole.messages, whole.messages.size(), false, false).starts_with(prompt))
      fail(record, "a prompt that training's text does not begin with (the template's add_generation_prompt writes something else than its answers have, or nothing at all)",
           "the same text before an answer in training and generation");
    return pieces(chat, prompt, true, record);
  });
}

std::vector<TextPiece> ChatTemplate::pieces(const ChatMessages& chat, const std::string& plain, bool prompt, const Record& record) const {
  const auto stretches = aligned(plain, text_of(chat.messages, chat.messages.size(), true, prompt), chat.marks);
  if (!stretches)
    fail(record, "a template that looks into this record's texts and writes them otherwise, so that it cannot be imported exactly",
         "one that puts texts as they are, or without white space at their ends");
  for (std::size_t i = 0; i < chat.marks.size(); ++i) {
    const bool there = std::any_of(stretches->begin(), stretches->end(), [&](const ChatStretch& stretch) { return stretch.mark == i; });
    if (!there) fail(record, fmt::format("a template that leaves out the text '{}'", chat.marks[i].text.substr(0, 60)), "one that has a place for every text of the record");
  }
  auto spans = written(chat, *stretches, plain, record);
  // An answer without an end would never stop; only where the conversation ends too can one be put behind it.
  const bool endless = !prompt && !spans.empty() && chat.messages.back().model && !spans.back().ended;
  if (endless) spans.back().end = plain.size();
  std::vector<TextPiece> out;
  auto span = spans.begin();
  for (const auto& stretch : *stretches) {
    const auto turn = stretch.mark ? chat.marks[*stretch.mark].turn : -1;
    for (auto at = stretch.begin; at < stretch.end();) {
      while (span != spans.end() && span->end <= at) ++span;
      const bool inside = span != spans.end() && span->begin <= at;
      const auto stop = span == spans.end() ? stretch.end() : std::min(stretch.end(), inside ? span->end : span->begin);
      out.push_back({.text = plain.substr(at, stop - at), .own_words = !stretch.mark, .written = inside, .turn = inside ? span->turn : turn});
      at = stop;
    }
  }
  if (endless) out.push_back({.is_eos = true, .written = true, .turn = spans.back().turn});
  return out;
}

std::vector<ChatTemplate::Written> ChatTemplate::written(const ChatMessages& chat, const std::vector<ChatStretch>& stretches, const std::string& plain,
                                                         const Record& record) const {
  std::vector<Written> out;
  for (std::size_t i = 0; i < stretches.size(); ++i) {
    if (!stretches[i].mark) continue;
    const auto message = chat.marks[*stretches[i].mark].message;
    const auto& said = chat.messages[message];
    if (!said.model) continue;
    auto begin = stretches[i].begin;
    if (said.composite) {
      const auto before = text_of(chat.messages, message, false, true);
      if (!plain.starts_with(before) || before.size() > begin)
        fail(record, "a call of a tool, or a thought, before which the template puts no prompt", "the text up to it as add_generation_prompt writes it");
      begin = before.size();
    } else if (stretches[i - 1].text.ends_with(frame_.before)) {
      begin -= frame_.before.size();
    }
    if (!out.empty()) begin = std::max(begin, out.back().end);
    // Through all of the message's texts, each of them and what stands before it a turn of its own.
    for (;; i += 2) {
      const auto turn = chat.marks[*stretches[i].mark].turn;
      if (out.empty() || out.back().turn != turn || out.back().end != begin) out.push_back({.begin = begin, .end = begin, .turn = turn});
      out.back().end = begin = stretches[i].end();
      if (i + 2 >= stretches.size() || chat.marks[*stretches[i + 2].mark].message != message) break;
    }
    if (const auto end = end_within(stretches[i + 1].text, said.composite)) {
      out.back().end = stretches[i + 1].begin + end->size;
      out.back().ended = true;
    }
  }
  return out;
}

std::optional<ChatTemplate::End> ChatTemplate::end_within(std::string_view text, bool composite) const {
  const auto first = [&](const std::vector<std::string>& tokens) {
    std::optional<End> out;
    const auto look = [&](const std::string& token) {
      const auto at = token.empty() ? text.npos : text.find(token);
      if (at == text.npos) return;
      const auto known = out ? out->size - out->token.size() : text.npos;
      if (at < known || (at == known && token.size() > out->token.size())) out = End{at + token.size(), token};
    };
    for (const auto& token : tokens) look(token);
    look(tokens_.eos);
    return out;
  };
  // What closes a call (</tool_call>) may be special too, and is no end.
  if (composite)
    if (auto end = first(tokens_.ends)) return end;
  return first(tokens_.specials);
}

}  // namespace herd
