#include "launch/serve_command.h"

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <thread>

#include "infer/prompt.h"
#include "infer/server/api.h"
#include "infer/server/http_server.h"
#include "launch/command_line.h"
#include "launch/serve_options.h"
#include "launch/speaker.h"
#include "runtime/base/exit_codes.h"
#include "runtime/base/log.h"
#include "runtime/base/signals.h"
#include "runtime/base/text.h"
#include "runtime/base/thread.h"

namespace herd {
namespace {

constexpr auto kLook = std::chrono::milliseconds(50);

/// Through the template of each one's training; one that has none can only go on from text, and says so when it is asked more.
std::function<Prompt(const Record&)> asker(Speaker& speaker, std::optional<std::size_t> adapter, const std::string& name) {
  try {
    const auto& t = speaker.template_of(adapter);
    return [&speaker, &t](const Record& record) { return instruction_prompt(speaker.tokenizer(), speaker.encoder(), t, record); };
  } catch (const ConfigError& error) {
    log_warning("'{}' answers /v1/completions alone: {}", name, error.what());
    return [name](const Record&) -> Prompt {
      throw ConfigError({.who = "model", .found = "'" + name + "', which has no template to put messages by", .expected = "plain text for it, by /v1/completions", .remedy = "who serves it may name one: --template"});
    };
  }
}

std::vector<ServedModel> served_models(Speaker& speaker, const ServeOptions& o) {
  std::vector<ServedModel> models;
  const auto add = [&](const std::string& name, std::optional<std::size_t> adapter) {
    for (const auto& other : models)
      if (other.name == name)
        throw ConfigError({.who = "command line", .found = "two models named '" + name + "'", .expected = "a name for each", .remedy = "--name NAME for the base, --adapter NAME=DIR for an adapter"});
    models.push_back({name, adapter, asker(speaker, adapter, name)});
  };
  const auto adapters = o.speaker.adapter_names();
  const auto unnamed = o.speaker.unnamed_adapter();
  if (unnamed) add(adapters[*unnamed], unnamed);  // the first: it answers who names none
  add(o.name.empty() ? called(o.speaker.model) : o.name, std::nullopt);
  for (std::size_t i = 0; i < adapters.size(); ++i)
    if (unnamed != i) add(adapters[i], i);
  return models;
}

/// Ends the process where a signal comes while this lives: what reads a model cannot be asked to stop, and leaves nothing half done.
class EndsOnSignal {
 public:
  explicit EndsOnSignal(const Signals& signals) {
    thread_ = background_thread("signals", [this, &signals] {
      for (; !over_; std::this_thread::sleep_for(kLook))
        if (const auto signal = signals.pending(); signal != Signal::none) {
          log_info("{} while the model is being read: ending", name(signal));
          std::_Exit(exit_code(signal));
        }
    });
  }
  ~EndsOnSignal() {
    over_ = true;
    thread_.join();
  }
  EndsOnSignal(const EndsOnSignal&) = delete;
  EndsOnSignal& operator=(const EndsOnSignal&) = delete;

 private:
  std::atomic<bool> over_ = false;
  std::thread thread_;
};

/// The model and those who ask it, each by those below it alone: on every way out the connections end first, then the engine's thread.
class Service {
 public:
  /// Listens already, to say that the model is being read.
  explicit Service(const ServeOptions& options)
      : options_(options), speaker_(options.speaker), served_{.tokenizer = speaker_.tokenizer(), .models = served_models(speaker_, options)},
        api_(options.server, options.sampling.in(speaker_.encoder()), metrics_), http_(options.server, api_) {
    http_.start();
    log_info("listening on http://{}:{}", options.server.host, http_.port());
  }

  void load() {
    speaker_.load();
    served_.context = speaker_.model().facts.max_positions;
    engine_ = speaker_.engine(options_.engine);
    worker_ = std::make_unique<Worker>(*engine_, speaker_.model(), [this](auto adapter) { speaker_.use(adapter); },
                                       WorkerOptions{.queue = options_.server.queue, .side_by_side = options_.engine.batch_size, .prefill_chunk = options_.engine.prefill_chunk, .stall_s = options_.server.stall_s}, metrics_);
    api_.open(served_, *worker_);
    std::vector<std::string> names;
    for (const auto& model : served_.models) names.push_back(model.name);
    log_info("serving {}", join(names));
  }

  void run(const Signals& signals) {
    while (signals.pending() == Signal::none) {
      if (!http_.listening()) throw IoError({.who = "the listening socket", .found = "it is closed", .expected = "open until a signal comes", .remedy = ""});
      std::this_thread::sleep_for(kLook);
    }
    log_info("{}: finishing what is under way ({} texts, {} requests wait); once more ends at once", name(signals.pending()), worker_->growing(), worker_->waiting());
    api_.drain();
    while (!worker_->idle() || http_.answering() > 0) std::this_thread::sleep_for(kLook);
    log_info("served to the end");
  }

 private:
  const ServeOptions& options_;
  Speaker speaker_;
  Served served_;
  ServerMetrics metrics_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Worker> worker_;
  Api api_;
  HttpServer http_;
};

}  // namespace

int serve_command(int argc, char** argv) {
  CLI::App app("Answers over HTTP, as OpenAI's API does, with a model and its adapters.", "herd serve");
  ServeOptions options;
  declare(app, options);
  if (!parse_arguments(app, argc, argv)) return kExitSuccess;
  options.validate();
  const Signals signals;
  auto ends = std::make_unique<EndsOnSignal>(signals);
  Service service(options);
  service.load();
  ends.reset();
  service.run(signals);
  return kExitSuccess;
}

}  // namespace herd
