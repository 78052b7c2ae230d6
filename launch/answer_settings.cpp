#include "launch/answer_settings.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "parallel/comm/agree.h"
#include "runtime/base/error.h"
#include "runtime/base/file.h"
#include "runtime/base/process.h"
#include "runtime/base/text.h"

namespace herd {

namespace fs = std::filesystem;

AnswerSettings given_settings(const CLI::App& app) {
  // Files go by their content; the others change how soon an answer comes, and not what it says.
  constexpr std::array kOthers{"help", "model", "adapter", "use", "force-base", "tokenizer", "template", "files", "task", "data", "examples", "output", "threads", "batch-size", "shared"};
  AnswerSettings settings;
  for (const auto* option : app.get_options()) {
    const auto name = option->get_single_name();
    if (std::ranges::find(kOthers, name) == kOthers.end())
      settings[name] = option->count() > 0 ? join(option->results()) : option->get_default_str();
  }
  return settings;
}

void add_files(AnswerSettings& settings, const std::string& what, const std::vector<std::string>& files) {
  for (std::size_t i = 0; i < files.size(); ++i)
    settings[fmt::format("{} {}", what, i + 1)] = fs::path(files[i]).filename().string() + " of content " + fingerprint(read_file(files[i]));
}

void add_speaker(AnswerSettings& settings, const Speaker& speaker, std::optional<std::size_t> adapter) {
  settings["model"] = speaker.fingerprint();
  settings["adapter"] = adapter ? adapter_fingerprint(speaker.options().trained_folder(adapter)) : "none";
  settings["tokenizer"] = speaker.tokenizer().fingerprint;
}

std::string adapter_fingerprint(const std::string& folder) {
  std::vector<std::string> parts;
  for (const auto& entry : fs::directory_iterator(folder))
    if (const auto name = entry.path().filename().string(); name.starts_with("adapter_")) parts.push_back(name + fingerprint(read_file(entry.path())));
  std::ranges::sort(parts);
  return fingerprint(join(parts));
}

void check_same(const AnswerSettings& settings, const std::string& command, Communicator& communicator) {
  const auto first = broadcast_string(communicator, nlohmann::json(settings).dump());
  agree(communicator, [&] {
    const auto [mine, theirs] = differences(settings, nlohmann::json::parse(first).get<AnswerSettings>());
    if (mine.empty()) return;
    throw ConfigError({.who = command + " on " + host_name(),
                       .found = mine,
                       .expected = theirs + ", as rank 0 has it",
                       .remedy = "start all ranks with one command line, over the same files"});
  });
}

}  // namespace herd
