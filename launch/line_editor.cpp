#include "launch/line_editor.h"

#include <histedit.h>
#include <langinfo.h>

#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "runtime/base/file.h"
#include "runtime/base/log.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

constexpr int kKept = 1000;  // lines of history

// libedit reads characters as the locale has them; a bare container has none.
void speak_utf8() {
  std::setlocale(LC_CTYPE, "");
  if (std::strcmp(nl_langinfo(CODESET), "UTF-8") != 0) std::setlocale(LC_CTYPE, "C.UTF-8");
}

std::vector<std::string> last_lines(const fs::path& file) {
  std::vector<std::string> lines;
  const auto text = read_file(file);
  for (std::size_t at = 0, end = 0; (end = text.find('\n', at)) != text.npos; at = end + 1) lines.push_back(text.substr(at, end - at));
  if (lines.size() > kKept) lines.erase(lines.begin(), lines.end() - kKept);
  return lines;
}

}  // namespace

struct LineEditor::Parts {
  EditLine* edit = nullptr;
  History* history = nullptr;
  const char* prompt = "> ";
  bool interrupted = false;
  std::optional<File> file;

  ~Parts() {
    el_end(edit);
    history_end(history);
  }

  static Parts& of(EditLine* edit) {
    void* parts = nullptr;
    el_get(edit, EL_CLIENTDATA, &parts);
    return *static_cast<Parts*>(parts);
  }

  void remember(const std::string& line) const {
    HistEvent event;
    ::history(history, &event, H_ENTER, line.c_str());
  }

  // Appended a line at a time: chats side by side keep each other's.
  void open(const fs::path& path) {
    try {
      make_folder(path.parent_path());
      file.emplace(path, File::Mode::append);
      fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
      for (const auto& line : last_lines(path)) remember(line);
    } catch (const std::exception& error) {
      file.reset();
      log_warning("no history: {}", error.what());
    }
  }

  void keep(const std::string& line) {
    remember(line);
    try {
      if (file) file->write(line + "\n");
    } catch (const IoError& error) {
      file.reset();
      log_warning("no history any more: {}", error.what());
    }
  }
};

LineEditor::LineEditor(const std::optional<fs::path>& history) : parts_(std::make_unique<Parts>()) {
  speak_utf8();
  auto& parts = *parts_;
  parts.edit = el_init("herd", stdin, stdout, stderr);
  parts.history = history_init();
  if (!parts.edit || !parts.history)
    throw IoError({.who = "terminal",
                   .found = "no line editor for it",
                   .expected = "a terminal that libedit knows",
                   .remedy = "set TERM, or pipe the questions in"});
  HistEvent event;
  ::history(parts.history, &event, H_SETSIZE, kKept);
  ::history(parts.history, &event, H_SETUNIQUE, 1);
  auto* edit = parts.edit;
  el_set(edit, EL_CLIENTDATA, &parts);
  el_set(
      edit, EL_PROMPT, +[](EditLine* e) { return const_cast<char*>(Parts::of(e).prompt); });
  el_set(edit, EL_EDITOR, "emacs");
  el_set(edit, EL_HIST, ::history, parts.history);
  el_set(edit, EL_SIGNAL, 1);  // a process that is ended or stopped leaves the terminal as it was
  // Ctrl-C and Ctrl-Z are keys here: a signal in the middle of read() would be swallowed by libedit.
  el_set(edit, EL_SETTY, "-d", "-isig", nullptr);
  el_set(
      edit, EL_ADDFN, "herd-give-up", "give the line up", +[](EditLine* e, int) -> unsigned char {
        Parts::of(e).interrupted = true;
        return CC_NEWLINE;
      });
  el_set(
      edit, EL_ADDFN, "herd-suspend", "back to the shell for a while", +[](EditLine*, int) -> unsigned char {
        raise(SIGTSTP);
        return CC_REFRESH;
      });
  el_set(edit, EL_BIND, "^C", "herd-give-up", nullptr);
  el_set(edit, EL_BIND, "^Z", "herd-suspend", nullptr);
  el_set(edit, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  el_source(edit, nullptr);
  if (history) parts.open(*history);
}

LineEditor::~LineEditor() = default;

ChatLine LineEditor::next(bool goes_on) {
  auto& parts = *parts_;
  // Told in the prompt: where that stands, Ctrl-C is a key again.
  parts.prompt = goes_on ? ". " : parts.interrupted ? "(Ctrl-C once more ends) > " : "> ";
  parts.interrupted = false;
  int count = 0;
  el_set(parts.edit, EL_PREP_TERM, 1);  // before the prompt invites to type: libedit itself would do it after
  const char* text = el_gets(parts.edit, &count);
  if (!text && count < 0 && errno == EINTR) parts.interrupted = true;  // a SIGINT from elsewhere
  if (parts.interrupted) {
    std::puts("");
    return {.kind = ChatLine::Kind::kInterrupted, .text = {}};
  }
  if (!text || count <= 0) {
    std::puts("");
    return {.kind = ChatLine::Kind::kEnd, .text = {}};
  }
  std::string line(text);
  while (line.ends_with('\n') || line.ends_with('\r')) line.pop_back();
  if (!line.empty()) parts.keep(line);
  return {.text = std::move(line)};
}

std::optional<fs::path> chat_history_file() {
  const auto* state = std::getenv("XDG_STATE_HOME");
  const auto* home = std::getenv("HOME");
  if (state && *state == '/') return fs::path(state) / "herd/chat_history";  // the standard ignores relative ones
  if (home && *home) return fs::path(home) / ".local/state/herd/chat_history";
  return std::nullopt;
}

}  // namespace herd
