#include "launch/serve_command.h"

#include <CLI/CLI.hpp>
#include <chrono>
#include <filesystem>
#include <thread>

#include "infer/server/api.h"
#include "infer/server/http_server.h"
#include "launch/command_line.h"
#include "launch/serve_options.h"
#include "launch/speaker.h"
#include "runtime/base/exit_codes.h"
#include "runtime/base/log.h"
#include "runtime/base/signals.h"
#include "runtime/net/hub_cache.h"

namespace herd {
namespace {

constexpr auto kLook = std::chrono::milliseconds(50);

// `runs/first/adapter/` → `adapter`.
std::string last_name(const std::filesystem::path& folder) {
  const auto path = folder.lexically_normal();
  return path.has_filename() ? path.filename().string() : path.parent_path().filename().string();
}

std::string base_name(const ServeOptions& o) {
  if (!o.name.empty()) return o.name;
  return std::filesystem::exists(o.speaker.model) ? last_name(o.speaker.model) : o.speaker.model;  // a hub id
}

/// Through the template of each one's training; one that has none can only go on from text, and says so when it is asked more.
std::function<Prompt(const Record&)> asker(Speaker& speaker, const PieceEncoder& encoder, std::optional<std::size_t> adapter, const std::string& name) {
  try {
    const auto& t = speaker.template_of(adapter);
    return [&tokenizer = speaker.tokenizer(), &encoder, &t](const Record& record) { return instruction_prompt(tokenizer, encoder, t, record); };
  } catch (const ConfigError& error) {
    log_warning("'{}' answers /v1/completions alone: {}", name, error.what());
    return [name](const Record&) -> Prompt {
      throw ConfigError({.who = "model", .found = "'" + name + "', which has no template to put messages by", .expected = "plain text for it, by /v1/completions", .remedy = "who serves it may name one: --template"});
    };
  }
}

std::vector<ServedModel> served_models(Speaker& speaker, const PieceEncoder& encoder, const std::string& base_name) {
  std::vector<ServedModel> models;
  const auto add = [&](const std::string& name, std::optional<std::size_t> adapter) {
    for (const auto& other : models)
      if (other.name == name)
        throw ConfigError({.who = "command line", .found = "two models named '" + name + "'", .expected = "a name for each", .remedy = "--name NAME for the base, --adapter NAME=DIR for an adapter"});
    models.push_back({name, adapter, asker(speaker, encoder, adapter, name)});
  };
  const auto& adapters = speaker.options().adapters;
  const auto unnamed = speaker.options().unnamed_adapter();
  if (unnamed) add(last_name(adapters[*unnamed].folder), unnamed);  // the first: it answers who names none
  add(base_name, std::nullopt);
  for (std::size_t i = 0; i < adapters.size(); ++i)
    if (unnamed != i) add(adapters[i].name, i);
  return models;
}

void wait_for_end(const Signals& signals, Api& api, const HttpServer& http, const Worker& worker) {
  while (signals.pending() == Signal::none) {
    if (!http.listening()) throw IoError({.who = "the listening socket", .found = "it is closed", .expected = "open until a signal comes", .remedy = ""});
    std::this_thread::sleep_for(kLook);
  }
  log_info("{}: finishing what is under way ({} texts, {} requests wait); once more ends at once", name(signals.pending()), worker.growing(), worker.waiting());
  api.drain();
  while (!worker.idle() || http.answering() > 0) std::this_thread::sleep_for(kLook);
  log_info("served to the end");
}

}  // namespace

int serve_command(int argc, char** argv) {
  CLI::App app("Answers over HTTP, as OpenAI's API does, with a model and its adapters.", "herd serve");
  ServeOptions options;
  declare(app, options);
  if (!parse_arguments(app, argc, argv)) return kExitSuccess;
  options.validate();
  const Signals signals;

  Speaker speaker(options.speaker);
  const PieceEncoder encoder(speaker.tokenizer());
  Served served{.tokenizer = speaker.tokenizer(), .models = served_models(speaker, encoder, base_name(options))};
  ServerMetrics metrics;
  Api api(options.server, options.sampling.in(speaker.tokenizer()), metrics);
  auto http = std::make_unique<HttpServer>(options.server, api);
  http->start();
  log_info("listening on http://{}:{}", options.server.host, http->port());

  speaker.load();
  served.context = speaker.model().facts.max_positions;
  const auto engine = speaker.engine(options.engine);
  Worker worker(*engine, speaker.model(), [&](auto adapter) { speaker.use(adapter); },
                {.queue = options.server.queue, .side_by_side = options.engine.batch_size, .stall_s = options.server.stall_s}, metrics);
  api.open(served, worker);
  std::vector<std::string> names;
  for (const auto& model : served.models) names.push_back(model.name);
  log_info("serving {}", join(names));
  wait_for_end(signals, api, *http, worker);
  http.reset();  // before what it asks
  return kExitSuccess;
}

}  // namespace herd
