#include "launch/chat_options.h"

#include <CLI/CLI.hpp>

#include "runtime/base/error.h"
#include "runtime/base/text.h"

namespace herd {

void ChatOptions::validate() {
  speaker.validate();
  sampling.validate();
}

void declare(CLI::App& app, ChatOptions& o) {
  declare(app, o.speaker);
  app.add_option("--use", o.use, "the adapter that answers; default: the one without a name, or the base alone");
  app.add_option("--system", o.system, "what the model is told before everything; default: the template's own");
  app.add_option("--load", o.load, "a conversation to go on with, as /save writes it");
  app.add_flag("--no-history", o.no_history, "each question is answered alone");
  declare(app, o.sampling);
}

namespace {

// The command line's own options are the settings: one list of them, one way to read them.
std::vector<std::string> names_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const auto* option : app.get_options())
    if (option->get_single_name() != "help") names.push_back(option->get_single_name());
  return names;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> settings_of(const SamplingArguments& arguments) {
  CLI::App app;
  auto copy = arguments;
  declare(app, copy);
  std::vector<std::pair<std::string, std::string>> settings;
  for (const auto& name : names_of(app)) settings.emplace_back(name, app.get_option("--" + name)->get_default_str());
  for (auto& [name, value] : settings) {
    if (name == "stop") value = join(arguments.generation.stop);
    if (name == "bad-word") value = join(arguments.bad_words);
    if (name == "logit-bias") value = join(arguments.logit_biases);
  }
  return settings;
}

void change_settings(SamplingArguments& arguments, const std::vector<std::string>& changes) {
  auto changed = arguments;
  changed.generation.sampling.logit_bias.clear();  // understood anew
  CLI::App app;
  declare(app, changed);
  const auto names = names_of(app);
  std::vector<std::string> given;
  for (const auto& change : changes) {
    const auto name = change.substr(0, change.find('='));
    if (name.size() == change.size() || std::find(names.begin(), names.end(), name) == names.end()) {
      const auto close = nearest(name, names);
      throw ConfigError({.who = "/params",
                         .found = "'" + change + "'",
                         .expected = "key=value, where the key is one of " + join(names),
                         .remedy = close.empty() ? "" : "did you mean '" + close + "'?"});
    }
    given.push_back("--" + change);
  }
  std::reverse(given.begin(), given.end());  // as CLI11 takes them
  try {
    app.parse(given);
  } catch (const CLI::ParseError& error) {
    throw ConfigError({.who = "/params", .found = error.what(), .expected = "", .remedy = ""});
  }
  changed.validate();
  arguments = std::move(changed);
}

}  // namespace herd
