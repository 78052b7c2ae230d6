#include "launch/generate_command.h"

#include <ATen/Parallel.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>
#include <set>

#include "infer/prompt.h"
#include "launch/command_line.h"
#include "launch/generate_options.h"
#include "launch/hub_places.h"
#include "models/hub.h"
#include "peft/adapters.h"
#include "runtime/base/exit_codes.h"
#include "runtime/base/file.h"
#include "runtime/base/log.h"
#include "runtime/net/hub_cache.h"

namespace herd {
namespace {

// The slips that a run's folder invites.
void check_model_folder(const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  if (fs::exists(folder / "config.json")) return;
  const bool adapter = fs::exists(folder / "adapter_config.json"), run = fs::exists(folder / "checkpoints");
  if (!adapter && !run) return;  // what is missing is told by who looks for it
  throw ConfigError({.who = "--model " + folder.string(),
                     .found = adapter ? "an adapter" : "a run's folder",
                     .expected = "a model's folder",
                     .remedy = adapter ? "--model BASE --adapter " + folder.string()
                               : fs::exists(folder / "adapter") ? "--model BASE --adapter " + (folder / "adapter").string()
                                                                : "--model " + (folder / "model").string()});
}

std::vector<Question> questions(const GenerateOptions& o) {
  if (!o.file.empty()) return read_questions(o.file);
  if (o.prompt) return {{.text = o.prompt, .name = "--prompt"}};
  return {{.record = instruction_record(*o.instruction, o.input, ""), .name = "--instruction"}};
}

// Each in the words of its adapter's own training, or of the base's.
std::vector<Request> requests(const std::vector<Question>& questions, const Tokenizer& tokenizer, const GenerateOptions& o) {
  const auto chosen = chosen_adapters(questions, o);
  const PieceEncoder encoder(tokenizer);
  std::vector<Request> out(questions.size());
  for (const auto adapter : std::set(chosen.begin(), chosen.end())) {
    const auto& where = o.trained_folder(adapter);
    const auto stored = read_provenance(where);
    check_tokenizer(tokenizer, stored, where);
    std::shared_ptr<const Template> chosen_template;
    for (std::size_t i = 0; i < questions.size(); ++i) {
      const auto& question = questions[i];
      if (chosen[i] != adapter) continue;
      if (!question.text && !chosen_template) chosen_template = choose_template(o.template_name, tokenizer, stored, where);
      out[i] = {.prompt = question.text ? text_prompt(tokenizer, *question.text) : instruction_prompt(tokenizer, encoder, *chosen_template, question.record, o.raw),
                .options = o.generation,
                .adapter = adapter};
      out[i].prompt.name = question.name;
    }
  }
  return out;
}

void forbid(const std::vector<std::string>& words, const Tokenizer& tokenizer, SamplingOptions& sampling) {
  if (words.empty()) return;
  const PieceEncoder encoder(tokenizer);
  for (const auto& word : words)
    for (auto& ids : word_ids(encoder, word)) sampling.bad_words.push_back(std::move(ids));
}

void print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    throw io_error("standard output", "cannot write", errno);
}

/// Lines in the questions' order, each as soon as it and those before it are there.
class AnswerLines {
 public:
  /// @param file nullptr: standard output.
  AnswerLines(const std::vector<Question>& questions, File* file) : questions_(questions), file_(file), lines_(questions.size()) {}
  void add(std::size_t number, const Generation& generation) {
    lines_[number] = answer_line(questions_[number], generation) + "\n";
    for (; next_ < lines_.size() && !lines_[next_].empty(); ++next_) {
      if (file_) file_->write(lines_[next_]);
      else print(lines_[next_]);
    }
  }

 private:
  const std::vector<Question>& questions_;
  File* file_;
  std::vector<std::string> lines_;
  std::size_t next_ = 0;
};

std::vector<Generation> answer(Engine& engine, const std::vector<Question>& questions, std::vector<Request> requests, const GenerateOptions& o) {
  if (o.file.empty()) {
    requests.front().on_text = [](std::string_view text, const Generation&) { print(text); };
    auto generations = generate(engine, std::move(requests));
    print("\n");
    return generations;
  }
  std::vector<Generation> generations;
  const auto into = [&](File* file) {
    AnswerLines lines(questions, file);
    for (std::size_t i = 0; i < requests.size(); ++i) requests[i].on_done = [&lines, i](const Generation& generation) { lines.add(i, generation); };
    generations = generate(engine, std::move(requests));
  };
  if (o.output.empty()) {
    into(nullptr);
  } else if (std::filesystem::exists(o.output) && !std::filesystem::is_regular_file(o.output)) {
    File file(o.output, File::Mode::replace);  // a pipe or device: nothing may take its place
    into(&file);
  } else {
    write_file_atomically(o.output, [&](File& file) { into(&file); });  // an earlier run's answers stand until these are whole
  }
  return generations;
}

void report(const std::vector<Generation>& generations, double seconds) {
  std::size_t tokens = 0;
  std::map<std::string, int> reasons;
  for (const auto& generation : generations) {
    tokens += generation.ids.size();
    ++reasons[name(generation.finish)];
  }
  std::string ends;
  for (const auto& [reason, count] : reasons) ends += fmt::format("{}{} {}", ends.empty() ? "" : ", ", count, reason);
  log_info("{} tokens in {:.2f} s, {:.1f} a second; ended by: {}", tokens, seconds, static_cast<double>(tokens) / seconds, ends);
}

}  // namespace

int generate_command(int argc, char** argv) {
  CLI::App app("Answers a prompt, streamed to the terminal, or a file of prompts.", "herd generate");
  GenerateOptions options;
  declare(app, options);
  if (!parse_arguments(app, argc, argv)) return kExitSuccess;
  options.validate();
  if (options.threads > 0) at::set_num_threads(options.threads);

  options.model = hub_folder(options.model, HubUse::kModel, "--model");
  for (auto& adapter : options.adapters) adapter.folder = hub_folder(adapter.folder, HubUse::kAdapter, "--adapter");
  options.tokenizer = hub_folder(options.tokenizer, HubUse::kTokenizer, "--tokenizer");
  check_model_folder(options.model);
  const auto asked = questions(options);
  const auto tokenizer = load_tokenizer(options.tokenizer_folder());
  forbid(options.bad_words, *tokenizer, options.generation.sampling);
  auto wanted = requests(asked, *tokenizer, options);
  const auto loaded = load_hub_folder(options.model, scalar_type(options.dtype), "auto", options.storage());
  check_vocabulary(loaded.model->facts, tokenizer->vocab_size(), options.tokenizer_folder());
  Adapters adapters(*loaded.model);
  for (const auto& [name, folder] : options.adapters)
    adapters.add(name, folder, {hub_name(options.model), options.force_base ? "" : loaded.fingerprint});

  Engine engine(*loaded.model, *tokenizer, end_tokens(*tokenizer, options.model), options.engine, [&](std::optional<std::size_t> adapter) { adapters.use(adapter); });
  const auto start = std::chrono::steady_clock::now();
  const auto generations = answer(engine, asked, std::move(wanted), options);
  report(generations, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  return kExitSuccess;
}

}  // namespace herd
