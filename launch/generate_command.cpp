#include "launch/generate_command.h"

#include <CLI/CLI.hpp>
#include <chrono>
#include <filesystem>
#include <map>

#include "launch/command_line.h"
#include "launch/generate_options.h"
#include "launch/speaker.h"
#include "runtime/base/exit_codes.h"
#include "runtime/base/file.h"
#include "runtime/base/log.h"

namespace herd {
namespace {

std::vector<Question> questions(const GenerateOptions& o) {
  if (!o.file.empty()) return read_questions(o.file);
  if (o.prompt) return {{.text = o.prompt, .name = "--prompt"}};
  return {{.record = instruction_record(*o.instruction, o.input, ""), .name = "--instruction"}};
}

std::vector<Request> requests(const std::vector<Question>& questions, Speaker& speaker, const GenerateOptions& o) {
  const auto chosen = chosen_adapters(questions, o);
  const auto generation = o.sampling.in(speaker.encoder());
  std::vector<Request> out;
  for (std::size_t i = 0; i < questions.size(); ++i) {
    const auto& question = questions[i];
    out.push_back({.prompt = question.text ? speaker.prompt(*question.text, chosen[i]) : speaker.prompt(question.record, chosen[i], o.raw), .options = generation, .adapter = chosen[i]});
    out.back().prompt.name = question.name;
  }
  return out;
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
      else print_now(lines_[next_]);
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
    requests.front().on_text = [](std::string_view text, const Generation&) { print_now(text); };
    auto generations = generate(engine, std::move(requests));
    print_now("\n");
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
  const auto asked = questions(options);
  Speaker speaker(options.speaker);
  auto wanted = requests(asked, speaker, options);
  speaker.load();
  const auto engine = speaker.engine(options.engine);
  const auto start = std::chrono::steady_clock::now();
  const auto generations = answer(*engine, asked, std::move(wanted), options);
  report(generations, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  return kExitSuccess;
}

}  // namespace herd
