#include "launch/predict_command.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "data/readers/paths.h"
#include "infer/answer_output.h"
#include "infer/answer_share.h"
#include "launch/command_line.h"
#include "launch/predict_options.h"
#include "launch/predict_watch.h"
#include "launch/rank_failure.h"
#include "launch/run_end.h"
#include "launch/run_start.h"
#include "launch/speaker.h"
#include "parallel/comm/agree.h"
#include "parallel/comm/backends.h"
#include "runtime/base/exit_codes.h"
#include "runtime/base/hash.h"
#include "runtime/base/log.h"
#include "runtime/base/process.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

constexpr double kLoadTimeout_s = 3600;
constexpr std::size_t kReasonsTold = 5;

std::string file_fingerprint(const fs::path& path) {
  Hasher hasher;
  const auto bytes = read_file(path);
  hasher.update(bytes.data(), bytes.size());
  return hasher.hex();
}

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
    generation_ = options_.sampling.in(speaker_.tokenizer());
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
    for (std::size_t i = 0; i < records_.files.size(); ++i)
      settings_[fmt::format("file {}", i + 1)] = fs::path(records_.files[i]).filename().string() + " of content " + file_fingerprint(records_.files[i]);
    settings_["model"] = speaker_.fingerprint();
    settings_["adapter"] = adapter_ ? adapter_fingerprint() : "none";
    settings_["tokenizer"] = speaker_.tokenizer().fingerprint;
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

  std::string adapter_fingerprint() const {
    std::vector<std::string> parts;
    for (const auto& entry : fs::directory_iterator(speaker_.options().trained_folder(adapter_)))
      if (entry.path().filename().string().starts_with("adapter_"))
        parts.push_back(entry.path().filename().string() + file_fingerprint(entry.path()));
    std::sort(parts.begin(), parts.end());
    return fingerprint(join(parts));
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

void check_same(const AnswerSettings& settings, Communicator& communicator) {
  const auto first = broadcast_string(communicator, nlohmann::json(settings).dump());
  agree(communicator, [&] {
    const auto [mine, theirs] = differences(settings, nlohmann::json::parse(first).get<AnswerSettings>());
    if (mine.empty()) return;
    throw ConfigError({.who = "herd predict on " + host_name(),
                       .found = mine,
                       .expected = theirs + ", as rank 0 has it",
                       .remedy = "start all ranks with one command line, over the same files"});
  });
}

void tell_left_out(const Prediction& prediction) {
  if (prediction.left_out() == 0) return;
  log_info("{} left out:", plural(prediction.left_out(), "record"));
  for (const auto& reason : prediction.reasons()) log_info("  {}", reason);
}

// Answers what is not answered yet. @return the signal that stopped it, none where all is there.
Signal answer(Prediction& prediction, const AnswerParts& parts, int start, std::int64_t batch_size, const Signals& signals,
              Communicator& communicator) {
  auto left = prediction.tokens();
  const auto there = agree(communicator, [&] { return parts.read(); });
  for (const auto& [record, any] : there) left.at(record) = 0;
  const auto before = std::ssize(there), all = before + std::count_if(left.begin(), left.end(), [](auto tokens) { return tokens > 0; });
  if (before > 0) log_info("{} of {} are there from before", before, plural(all, "answer"));
  auto file = agree(communicator, [&] { return parts.part(start, communicator.rank()); });
  PredictWatch watch(before, all, communicator.rank() == 0);
  std::int64_t answers = 0;
  const auto signal = answer_share(prediction.engine(), batch_size, communicator,
                                   {.share = share_of(left, communicator.rank(), communicator.size()),
                                    .request = [&](std::size_t number) { return prediction.request(number); },
                                    .store = [&](std::size_t number, const Generation& generation) { file.write(AnswerParts::line(number, generation)); },
                                    .signal = [&] { return signals.pending(); },
                                    .told = [&](std::int64_t done, std::int64_t new_tokens) { answers = done, watch(done, new_tokens); },
                                    .take_part = prediction.shared() ? [&] { return prediction.shared()->take_part(); } : std::function<bool()>()});
  agree(communicator, [&] { file.sync(); });
  if (before + answers == all) return Signal::none;
  log_info("{}: {} of {} are stored; the same command goes on", name(signal), before + answers, plural(all, "answer"));
  return signal;
}

int predict_on_rank(PredictOptions& options, const AnswerSettings& settings) {
  auto communicator = make_communicator("auto", {.deadline_s = kLoadTimeout_s});
  set_log_rank(communicator->rank(), communicator->size());
  const bool first = communicator->rank() == 0;
  std::optional<Signals> signals;
  std::optional<RunFolder> folder;
  std::optional<RunLock> lock;
  try {
    const auto prediction = agree(*communicator, [&] {
      options.validate();
      return std::make_unique<Prediction>(options, settings);
    });
    use_threads(options.speaker.threads, *communicator);
    use_device(options.speaker, communicator);
    prediction->load(*communicator);
    check_same(prediction->settings(), *communicator);
    const AnswerParts parts(options.output);
    signals.emplace();
    auto start = agree(*communicator, [&] {
      if (!first) return 0;
      lock.emplace(RunFolder(parts.folder()));
      return parts.open(prediction->settings());
    });
    start = std::stoi(broadcast_string(*communicator, std::to_string(start)));
    folder.emplace(parts.folder());
    record_flight(*folder, *communicator);
    communicator->watch(last_words(*folder, communicator->rank(), *signals));
    tell_left_out(*prediction);
    const auto signal = answer(*prediction, parts, start, options.engine.batch_size, *signals, *communicator);
    if (signal == Signal::none) {
      agree(*communicator, [&] {
        if (!first) return;
        const auto answers = parts.read();
        write_answers(options.output, prediction->records(), options.reading, answers);
        log_info("{}: {}", options.output, plural(std::ssize(answers), "answer"));
      });
    }
    communicator->note(kEnded);
    communicator->stop_watching();
    if (signal == Signal::none && first) parts.remove();
    return exit_code(signal);
  } catch (const std::exception& error) {
    return fail_on_rank(error, folder ? &*folder : nullptr, *communicator);
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
