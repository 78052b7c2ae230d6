#include "launch/chat_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <optional>

#include "data/tokenizer/utf8.h"
#include "launch/chat.h"
#include "launch/chat_commands.h"
#include "launch/command_line.h"
#include "launch/interrupts.h"
#include "launch/line_editor.h"
#include "runtime/base/error.h"
#include "runtime/base/exit_codes.h"

namespace herd {
namespace {

void tell(const std::string& line) { fmt::print(stderr, "{}\n", line); }

// What a model writes may not steer a terminal: control characters but for line ends and tabs are shown as U+FFFD.
std::string harmless(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const auto c = next_code_point(text, at);
    const bool steers = (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7f && c < 0xa0);
    append_code_point(out, steers ? 0xfffd : c);
  }
  return out;
}

/// Messages in, answers out. @return the exit code.
class Talk {
 public:
  Talk(const ChatOptions& options, bool terminal)
      : terminal_(terminal),
        chat_(options, {.text = [this](std::string_view text) { print_now(terminal_ ? harmless(text) : std::string(text)); },
                        .notice = [](const std::string& notice) { tell("(" + notice + ")"); },
                        .stop = [this] { return interrupts_ && interrupts_->take(); }}) {
    if (terminal_) interrupts_.emplace();
  }

  int run(LineSource& lines) {
    for (bool goes_on = true; goes_on;) {
      const auto message = read_message(lines);
      if (message.kind == ChatLine::Kind::kEnd || (message.kind == ChatLine::Kind::kInterrupted && interrupted_)) break;
      interrupted_ = message.kind == ChatLine::Kind::kInterrupted;
      if (message.text.find_first_not_of(" \t\n") != std::string::npos) goes_on = obey(message.text);
    }
    return failed_ ? kExitFailure : kExitSuccess;
  }

  Chat& chat() { return chat_; }

 private:
  bool obey(const std::string& message) {
    if (interrupts_) interrupts_->take();  // what came while nobody answered
    try {
      if (message.starts_with('/') && !message.starts_with("//")) return run_chat_command(chat_, message, tell);
      chat_.ask(message.starts_with("//") ? message.substr(1) : message);
    } catch (const IoError& error) {
      if (error.complaint().who == "standard output") throw;
      complain(error);
    } catch (const Error& error) {
      complain(error);
    }
    return true;
  }

  // At a terminal a slip is put right at once; a script is told by the exit code.
  void complain(const Error& error) {
    tell(fmt::format("error: {}", error.what()));
    failed_ = failed_ || !terminal_;
  }

  bool terminal_, interrupted_ = false, failed_ = false;
  Chat chat_;
  std::optional<Interrupts> interrupts_;  // at a terminal, once the model is read; else Ctrl-C ends the program
};

}  // namespace

int chat_command(int argc, char** argv) {
  CLI::App app("A conversation with a model, at the terminal; or piped: a question a line. /help lists the commands.", "herd chat");
  ChatOptions options;
  declare(app, options);
  if (!parse_arguments(app, argc, argv)) return kExitSuccess;
  options.validate();
  const bool terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
  Talk talk(options, terminal);
  if (!terminal) {
    StreamLines lines(std::cin);
    return talk.run(lines);
  }
  LineEditor lines(chat_history_file());
  auto& chat = talk.chat();
  tell(fmt::format("{}, asked as {}. /help lists the commands.", options.speaker.model, chat.speaker().template_of(chat.adapter()).name));
  return talk.run(lines);
}

}  // namespace herd
