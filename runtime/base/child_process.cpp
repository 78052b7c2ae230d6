#include "runtime/base/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

#include "runtime/base/error.h"
#include "runtime/base/file.h"

namespace herd {
namespace {

// A path of the program: between fork and exec nothing may be looked for that takes memory.
std::string found(const std::string& program) {
  namespace fs = std::filesystem;
  if (program.find('/') != std::string::npos) return fs::absolute(program).string();
  const auto* path = std::getenv("PATH");
  for (std::string rest = path ? path : "/usr/bin:/bin"; !rest.empty();) {
    const auto cut = rest.find(':');
    const auto file = fs::path(rest.substr(0, cut)) / program;
    if (::access(file.c_str(), X_OK) == 0 && !fs::is_directory(file)) return file.string();
    rest = cut == std::string::npos ? "" : rest.substr(cut + 1);
  }
  throw IoError({.who = program, .found = "no such program", .expected = "one in PATH", .remedy = "install it, or name it with its folder"});
}

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> out;
  for (const auto& word : words) out.push_back(const_cast<char*>(word.c_str()));  // execve leaves them alone
  out.push_back(nullptr);
  return out;
}

std::vector<std::string> environment_with(const std::map<std::string, std::string>& more) {
  std::vector<std::string> out;
  for (auto** entry = environ; *entry; ++entry) {
    const std::string text = *entry;
    if (!more.contains(text.substr(0, text.find('=')))) out.push_back(text);
  }
  for (const auto& [name, value] : more) out.push_back(name + "=" + value);
  return out;
}

struct Pipe {
  int ends[2] = {-1, -1};
  Pipe() {
    if (::pipe2(ends, O_CLOEXEC) != 0) throw io_error("a pipe", "cannot be made", errno);
  }
  ~Pipe() {
    for (const auto end : ends)
      if (end >= 0) ::close(end);
  }
};

}  // namespace

ChildProcess::ChildProcess(const ChildOptions& options) {
  auto command = options.command;
  const auto program = found(command.at(0));
  const auto environment = environment_with(options.environment);
  const auto words = pointers(command), variables = pointers(environment);
  const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  Pipe failure;  // says why there is no exec; closed by one that works
  const auto parent = ::getpid();
  id_ = ::fork();
  if (id_ == 0) {
    ::setpgid(0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != parent) ::_exit(127);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    if (nothing >= 0) ::dup2(nothing, 0);
    if (options.output >= 0) ::dup2(options.output, 1), ::dup2(options.output, 2);
    if (options.folder.empty() || ::chdir(options.folder.c_str()) == 0) ::execve(program.c_str(), words.data(), variables.data());
    const int why = errno;
    [[maybe_unused]] const auto written = ::write(failure.ends[1], &why, sizeof why);
    ::_exit(127);
  }
  if (nothing >= 0) ::close(nothing);
  if (id_ < 0) throw io_error(program, "cannot be started", errno);
  ::setpgid(id_, id_);  // also here, so that a signal sent at once reaches it
  ::close(std::exchange(failure.ends[1], -1));
  int why = 0;
  ssize_t read = 0;
  do read = ::read(failure.ends[0], &why, sizeof why);
  while (read < 0 && errno == EINTR);
  if (read != sizeof why) return;
  wait();
  throw io_error(program, "cannot be started", why);
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept : id_(std::exchange(other.id_, -1)), code_(other.code_) {}

ChildProcess::~ChildProcess() {
  if (id_ < 0 || ended()) return;
  signal(SIGKILL);
  wait();
}

void ChildProcess::signal(int number) { ::kill(-id_, number); }

std::optional<int> ChildProcess::ended() { return code_of(WNOHANG); }

int ChildProcess::wait() { return *code_of(0); }

std::optional<int> ChildProcess::code_of(int options) {
  if (code_) return code_;
  int status = 0;
  pid_t who = 0;
  do who = ::waitpid(id_, &status, options);
  while (who < 0 && errno == EINTR);
  if (who == 0) return std::nullopt;
  if (who < 0) throw io_error("process " + std::to_string(id_), "cannot be waited for", errno);
  return code_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace herd
