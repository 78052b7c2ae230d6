#include "launch/predict_command.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <optional>

#include "data/readers/paths.h"
#include "infer/answer_output.h"
#include "launch/answer_settings.h"
#include "launch/command_line.h"
#include "launch/kept_answers.h"
#include "launch/predict_options.h"
#include "launch/rank_failure.h"
#include "launch/run_end.h"
#include "launch/run_start.h"
#include "launch/speaker.h"
#include "parallel/comm/agree.h"
#include "parallel/comm/backends.h"
#include "runtime/base/exit_codes.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

constexpr double kLoadTimeout_s = 3600;
constexpr std::size_t kReasonsTold = 5;

/// What one rank needs to ask and to answer: the same on every rank.
class Prediction {
 public:
  Prediction(const PredictOptions& options, AnswerSettings settings)
      : options_(options), adapter_(options.speaker.used_adapter(options.use)), settings_(std::move(settings)),
        records_(read_records(expand_paths(options.inputs), options.reading)), speaker_(options.speaker) {
    for (const auto& file : records_.files) {
      std::error_code no_such_file;
      if (fs::equivalent(options_.output, file, no_such_file))
        throw ConfigError(
            {.who = "--output " + options_.output, .found = "one of the files that are read", .expected = "another one", .remedy = ""});
    }
    speaker_.template_of(adapter_);
    generation_ = options_.sampling.in(speaker_.encoder());
  }

  void load(Communicator& communicator) {
    if (options_.shared) speaker_.load_shared(communicator, adapter_);
    else agree(communicator, [&] { speaker_.load(communicator); });
    agree(communicator, [&] { look(); });
  }

  Request request(std::size_t number) {
    const auto& record = records_.records[number];
    const auto name = describe(record.source, records_.files);
    const auto last = std::find_if(record.turns.rbegin(), record.turns.rend(), [](const Turn& turn) { return turn.role == Role::kUser; });
    if (last == record.turns.rend() || (last->text.empty() && last->input.empty()))
      throw DataError({.who = name, .found = "no question", .expected = "text of the user, to be answered", .remedy = ""});
    Request request{.prompt = speaker_.prompt(record, adapter_, options_.raw), .options = generation_, .adapter = adapter_};
    request.prompt.name = name;
    request.prompt.number = number;
    return request;
  }

  /// Tokens of each record's prompt, 0 where it cannot be asked.
  const std::vector<std::int64_t>& tokens() const { return tokens_; }
  const Records& records() const { return records_; }
  const AnswerSettings& settings() const { return settings_; }
  std::int64_t left_out() const { return records_.report.broken + std::count(tokens_.begin(), tokens_.end(), 0); }
  const std::vector<std::string>& reasons() const { return reasons_; }
  Engine& engine() { return *engine_; }
  SharedModel* shared() { return speaker_.shared(); }

 private:
  void look() {
    engine_ = speaker_.engine(options_.engine);
    add_files(settings_, "file", records_.files);
    add_speaker(settings_, speaker_, adapter_);
    settings_["template"] = speaker_.template_of(adapter_).fingerprint;
    look_at_questions();
  }

  void look_at_questions() {
    reasons_ = records_.report.reasons;
    for (std::size_t i = 0; i < records_.records.size(); ++i) {
      try {
        const auto asked = request(i);
        engine_->check(asked);
        tokens_.push_back(std::ssize(asked.prompt.ids));
      } catch (const DataError& error) {
        if (options_.reading.broken == Broken::kStop) throw;
        tokens_.push_back(0);
        if (reasons_.size() < kReasonsTold) reasons_.emplace_back(error.what());
      }
    }
  }

  const PredictOptions& options_;
  std::optional<std::size_t> adapter_;
  AnswerSettings settings_;
  Records records_;
  Speaker speaker_;
  GenerationOptions generation_;
  std::unique_ptr<Engine> engine_;
  std::vector<std::int64_t> tokens_;
  std::vector<std::string> reasons_;
};

void tell_left_out(const Prediction& prediction) {
  if (prediction.left_out() == 0) return;
  log_info("{} left out:", plural(prediction.left_out(), "record"));
  for (const auto& reason : prediction.reasons()) log_info("  {}", reason);
}

int predict_on_rank(PredictOptions& options, const AnswerSettings& settings) {
  auto communicator = make_communicator("auto", {.deadline_s = kLoadTimeout_s});
  set_log_rank(communicator->rank(), communicator->size());
  std::optional<KeptAnswers> kept;
  try {
    const auto prediction = agree(*communicator, [&] {
      options.validate();
      return std::make_unique<Prediction>(options, settings);
    });
    use_threads(options.speaker.threads, *communicator);
    use_device(options.speaker, communicator);
    prediction->load(*communicator);
    check_same(prediction->settings(), "herd predict", *communicator);
    kept.emplace(options.output, prediction->settings(), *communicator);
    tell_left_out(*prediction);
    const auto signal = kept->answer(prediction->engine(), options.engine.batch_size, prediction->tokens(), [&](std::size_t number) { return prediction->request(number); },
                                     prediction->shared() ? [&] { return prediction->shared()->take_part(); } : std::function<bool()>());
    if (signal == Signal::none) {
      agree(*communicator, [&] {
        if (communicator->rank() != 0) return;
        const auto answers = kept->read();
        write_answers(options.output, prediction->records(), options.reading, answers);
        log_info("{}: {}", options.output, plural(std::ssize(answers), "answer"));
      });
    }
    kept->end(signal == Signal::none);
    return exit_code(signal);
  } catch (const std::exception& error) {
    return fail_on_rank(error, kept ? &kept->folder() : nullptr, *communicator);
  }
}

}  // namespace

int predict_command(int argc, char** argv) {
  CLI::App app("Answers the last question of each record of files, on the ranks that mpirun or srun started.", "herd predict");
  PredictOptions options;
  declare(app, options);
  if (!parse_arguments(app, argc, argv)) return kExitSuccess;
  return predict_on_rank(options, given_settings(app));
}

}  // namespace herd
