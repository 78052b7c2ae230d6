#include "launch/launcher/probe.h"

#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <sstream>
#include <thread>

#include "launch/launcher/output_pipe.h"

namespace herd {
namespace {

std::string variable(const char* name) {
  const auto* value = std::getenv(name);
  return value ? value : "";
}

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

struct Question {
  std::string host;
  std::unique_ptr<OutputPipe> pipe;
  ChildProcess process;
  std::string said{};
  std::optional<int> code{};
};

Question ask(const std::string& host) {
  auto pipe = std::make_unique<OutputPipe>();
  ChildProcess process({.command = probe_command(host), .output = pipe->child_end()});
  pipe->close_child_end();
  return {.host = host, .pipe = std::move(pipe), .process = std::move(process)};
}

}  // namespace

std::vector<std::string> probe_command(const std::string& host) {
  auto command = words_of(variable("OMPI_MCA_plm_rsh_agent"));
  if (command.empty() && !variable("SLURM_JOB_ID").empty()) return {"srun", "--overlap", "--nodes=1", "--ntasks=1", "--nodelist=" + host, "true"};
  if (command.empty()) command = {"ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5"};
  for (const auto& word : words_of(variable("OMPI_MCA_plm_rsh_args"))) command.push_back(word);
  command.insert(command.end(), {host, "true"});
  return command;
}

std::vector<Silent> silent_hosts(const Hosts& hosts, double timeout_s) {
  constexpr auto kLook = std::chrono::milliseconds(20);
  std::vector<Question> questions;
  for (const auto& host : hosts)
    if (!is_here(host.name)) questions.push_back(ask(host.name));
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(timeout_s);
  for (bool open = true; open && std::chrono::steady_clock::now() < until; std::this_thread::sleep_for(kLook)) {
    open = false;
    for (auto& question : questions) {
      for (const auto& line : question.pipe->lines(0)) question.said += (question.said.empty() ? "" : "; ") + line;
      if (!question.code) question.code = question.process.ended();
      open = open || !question.code;
    }
  }
  std::vector<Silent> silent;
  for (auto& question : questions)
    if (question.code != 0) silent.push_back({.host = question.host, .said = question.said});
  return silent;
}

}  // namespace herd
