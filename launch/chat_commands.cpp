#include "launch/chat_commands.h"

#include <fmt/format.h>

#include "data/readers/conversation.h"
#include "data/tokenizer/utf8.h"
#include "runtime/base/file.h"
#include "runtime/base/registry.h"

namespace herd {
namespace {

/// A command's line and what it acts on.
struct Call {
  Chat& chat;
  std::string text;  // behind the command's name
  const std::function<void(const std::string&)>& say;
};

struct ChatCommand {
  std::string arguments, summary;
  bool (*run)(const Call& call);  // whether the chat goes on
};

const Table<ChatCommand>& chat_commands();

void refuse(const char* who, std::string found, const char* expected) {
  throw ConfigError({.who = who, .found = std::move(found), .expected = expected, .remedy = ""});
}

std::string one_file(const char* who, const std::string& text) {
  const auto words = words_of(text);
  if (words.size() != 1)
    refuse(who, words.empty() ? "no file" : "more than one word", "a file's name, in double quotes where it has spaces");
  return words.front();
}

bool context(const Call& call) {
  const auto words = words_of(call.text);
  if (words.empty()) refuse("/context", "no file", "FILE [key=value]…");
  ContextBlock block;
  for (std::size_t i = 1; i < words.size(); ++i) {
    const auto cut = words[i].find('=');
    if (cut == 0 || cut == std::string::npos) refuse("/context", "'" + words[i] + "'", "key=value");
    block.metadata.emplace_back(words[i].substr(0, cut), words[i].substr(cut + 1));
  }
  const auto text = read_file(words.front());
  require_utf8(text, words.front());
  block.text = trimmed_text(text);
  closed_context({&block, 1}, "");  // throws now what it would with the question
  call.chat.add_context(std::move(block));
  call.say(fmt::format("the next question is to be answered from {}", plural(static_cast<std::int64_t>(call.chat.contexts()), "text")));
  return true;
}

bool params(const Call& call) {
  const auto changes = words_of(call.text);
  if (!changes.empty()) call.chat.change(changes);
  for (const auto& [name, value] : settings_of(call.chat.options().sampling))
    if (changes.empty() ||
        std::any_of(changes.begin(), changes.end(), [&name = name](const std::string& change) { return change.starts_with(name + "="); }))
      call.say(fmt::format("{}={}", name, value));
  return true;
}

bool adapter(const Call& call) {
  auto& chat = call.chat;
  const auto& speaker = chat.options().speaker;
  if (!call.text.empty()) chat.use_adapter(call.text == "none" ? "" : call.text);
  const auto names = speaker.adapter_names();
  const auto name = chat.adapter() ? names[*chat.adapter()] : "none, the base alone";
  call.say(fmt::format("adapter: {}{}", name, names.empty() ? "" : "; there are none, " + join(names)));
  return true;
}

bool help(const Call& call) {
  for (const auto& [name, command] : chat_commands())
    call.say(fmt::format("{:<30} {}", "/" + name + " " + command.arguments, command.summary));
  call.say(
      "A line that ends in \\ goes on in the next; \"\"\" opens and closes a block of lines; // at the beginning is a question's own "
      "slash.");
  return true;
}

const Table<ChatCommand>& chat_commands() {
  static const Table<ChatCommand> table{
      "command",
      {
          {"reset", {"", "forgets what was said, but not the system text", [](const Call& c) { return c.chat.reset(), true; }}},
          {"regen", {"", "answers the last question once more", [](const Call& c) { return c.chat.ask_again(), true; }}},
          {"undo",
           {"", "forgets the last question and its answer",
            [](const Call& c) {
              return c.say(c.chat.undo() ? fmt::format("{} left", plural(static_cast<std::int64_t>(c.chat.dialogue().rounds()), "question"))
                                         : "nothing to forget"),
                     true;
            }}},
          {"system",
           {"[TEXT]", "what the model is told before everything; without TEXT the template's own",
            [](const Call& c) { return c.chat.set_system(c.text), true; }}},
          {"params", {"[key=value]…", "how answers are drawn: shows, or changes", params}},
          {"save",
           {"FILE", "writes the conversation as OpenAI's messages",
            [](const Call& c) { return c.chat.save(one_file("/save", c.text)), true; }}},
          {"load",
           {"FILE", "goes on with such a file",
            [](const Call& c) {
              c.chat.load(one_file("/load", c.text));
              return c.say(plural(static_cast<std::int64_t>(c.chat.dialogue().rounds()), "question") +
                           (c.chat.dialogue().open() ? ", the last one without an answer: /regen" : "")),
                     true;
            }}},
          {"adapter", {"[NAME|none]", "who answers from now on", adapter}},
          {"context", {"FILE [key=value]…", "a text that the next question is to be answered from (airoboros)", context}},
          {"plain",
           {"", "the next question asks for code alone (airoboros' PLAINFORMAT)", [](const Call& c) { return c.chat.ask_plain(), true; }}},
          {"help", {"", "these lines", help}},
          {"quit", {"", "ends, as Ctrl-D does", [](const Call&) { return false; }}},
      }};
  return table;
}

}  // namespace

std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words;
  bool quoted = false, within = false;
  for (const char c : line) {
    const bool parts = !quoted && (c == ' ' || c == '\t' || c == '\n');
    if (c == '"') quoted = !quoted;
    if (parts || (c == '"' && within)) {
      within = within && !parts;
      continue;
    }
    if (!within) words.emplace_back();
    within = true;
    if (c != '"') words.back() += c;
  }
  return words;
}

bool run_chat_command(Chat& chat, const std::string& line, const std::function<void(const std::string&)>& say) {
  const auto end = std::min(line.find_first_of(" \t\n"), line.size());
  require_utf8(line, "the command");
  return chat_commands().at(line.substr(1, end - 1)).run({chat, std::string(trimmed_text(line.substr(end))), say});
}

}  // namespace herd
