#include "launch/generate_command.h"

#include <ATen/Parallel.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>

#include "infer/prompt.h"
#include "infer/prompt_file.h"
#include "launch/command_line.h"
#include "launch/hub_places.h"
#include "models/hub.h"
#include "peft/adapter_io.h"
#include "runtime/base/exit_codes.h"
#include "runtime/base/file.h"
#include "runtime/base/log.h"
#include "runtime/net/hub_cache.h"
#include "runtime/nn/quantise.h"

namespace herd {
namespace {

struct GenerateOptions {
  std::string model, adapter, tokenizer;  // folders or hub ids; no adapter where empty, the model's tokenizer
  bool force_base = false;
  std::optional<std::string> prompt, instruction;
  std::string input, file, output;
  std::string template_name;
  bool raw = false;
  Precision dtype = Precision::kFp32;
  std::string quantization;  // a storage's name; empty: dense
  int threads = 0;
  GenerationOptions generation;

  const std::string& tokenizer_folder() const { return tokenizer.empty() ? model : tokenizer; }
  /// Where training left its herd.json: beside the weights that it wrote.
  const std::string& trained_folder() const { return adapter.empty() ? model : adapter; }
  std::optional<QuantOptions> storage() const {
    return quantization.empty() ? std::nullopt : std::optional(QuantOptions{.method = quantization});
  }
  void validate() const;
};

void GenerateOptions::validate() const {
  const auto refuse = [](const char* found, const char* expected) {
    throw ConfigError({.who = "command line", .found = found, .expected = expected, .remedy = "(herd generate --help)"});
  };
  const int ways = (prompt ? 1 : 0) + (instruction ? 1 : 0) + (file.empty() ? 0 : 1);
  if (ways != 1)
    refuse(ways ? "more than one of --prompt, --instruction and --file" : "nothing to answer", "one of --prompt, --instruction and --file");
  if (!input.empty() && !instruction) refuse("--input without --instruction", "both");
  if (!output.empty() && file.empty()) refuse("--output without --file", "both");
  std::error_code neither_there;
  if (!output.empty() && std::filesystem::equivalent(output, file, neither_there)) refuse("--output and --file that are one file", "two");
  if (prompt && !template_name.empty()) refuse("--template with --prompt, whose text goes to the model as it is", "--instruction");
  if (force_base && adapter.empty()) refuse("--force-base without --adapter", "both");
  if (threads < 0) refuse("--threads below 0", "a number of threads, or 0 for the machine's cores");
  generation.validate();
}

void declare(CLI::App& app, GenerateOptions& o) {
  static const std::map<std::string, Precision> dtypes{{"fp32", Precision::kFp32}, {"bf16", Precision::kBf16}, {"fp16", Precision::kFp16}};
  app.add_option("--model", o.model, "a Hugging Face folder (config.json, safetensors, tokenizer), or its hub id, org/name")->required();
  app.add_option("--adapter", o.adapter, "a PEFT folder that was trained on the model, or its hub id");
  app.add_flag("--force-base", o.force_base, "put the adapter onto another model than it was trained on");
  app.add_option("--tokenizer", o.tokenizer, "a folder or hub id; default: the model's");
  app.add_option("--prompt", o.prompt, "text to go on from, as it is");
  app.add_option("--instruction", o.instruction, "an instruction, put through the template");
  app.add_option("--input", o.input, "what the instruction works on");
  app.add_option("--file", o.file, "JSON lines, or a JSON array, of {prompt} or {instruction, input} records");
  app.add_option("--output", o.output, "with --file: where the answers go, one JSON line a record; default: the terminal");
  app.add_option("--template", o.template_name, "how instructions read; default: the one stored beside the weights by training");
  app.add_flag("--raw", o.raw, "leave what the template puts around an answer");
  app.add_option("--temperature", o.generation.sampling.temperature, "0: greedy, the most probable token")->capture_default_str();
  app.add_option("--top-k", o.generation.sampling.top_k, "draw from the k most probable tokens; 0: from all")->capture_default_str();
  app.add_option("--top-p", o.generation.sampling.top_p, "draw from the fewest tokens that hold this much probability")
      ->capture_default_str();
  app.add_option("--seed", o.generation.sampling.seed, "the same seed, the same text")->capture_default_str();
  app.add_option("--max-new-tokens", o.generation.max_new_tokens, "longest answer")->capture_default_str();
  app.add_option("--stop", o.generation.stop, "text that ends an answer; may be given several times")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--batch-size", o.generation.batch_size, "with --file: prompts answered side by side")->capture_default_str();
  app.add_option("--dtype", o.dtype, "number format of weights and arithmetic")
      ->option_text("fp32|bf16|fp16 [fp32]")
      ->transform(CLI::CheckedTransformer(dtypes));
  app.add_option("--quantization", o.quantization, "how the linear layers are kept, as model.quantization of training does by default")
      ->option_text("int8|nf4|fp4 [dense]")
      ->check(CLI::IsMember(weight_storages().names()));
  app.add_option("--threads", o.threads, "0: the machine's cores")->capture_default_str();
}

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
  return {{.record = {.instruction = *o.instruction, .input = o.input}, .name = "--instruction"}};
}

std::vector<Prompt> prompts(const std::vector<Question>& questions, const Tokenizer& tokenizer, const GenerateOptions& o) {
  const auto& where = o.trained_folder();
  const auto stored = read_provenance(where);
  check_tokenizer(tokenizer, stored, where);
  std::string template_name;
  std::vector<Prompt> out;
  for (const auto& question : questions) {
    if (!question.text && template_name.empty()) template_name = choose_template(o.template_name, stored, where);
    out.push_back(question.text ? text_prompt(tokenizer, *question.text)
                                : instruction_prompt(tokenizer, template_name, question.record, o.raw));
    out.back().name = question.name;
  }
  return out;
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

std::vector<Generation> answer(Generator& generator, const std::vector<Question>& questions, const std::vector<Prompt>& prompts,
                               const GenerateOptions& o) {
  if (o.file.empty()) {
    auto generations = generator.run(prompts, {.on_text = [](std::size_t, std::string_view text) { print(text); }});
    print("\n");
    return generations;
  }
  std::vector<Generation> generations;
  const auto run = [&](File* file) {
    AnswerLines lines(questions, file);
    generations = generator.run(prompts, {.on_done = [&](std::size_t number, const Generation& generation) { lines.add(number, generation); }});
  };
  if (o.output.empty()) {
    run(nullptr);
  } else if (std::filesystem::exists(o.output) && !std::filesystem::is_regular_file(o.output)) {
    File file(o.output, File::Mode::replace);  // a pipe or device: nothing may take its place
    run(&file);
  } else {
    write_file_atomically(o.output, [&](File& file) { run(&file); });  // an earlier run's answers stand until these are whole
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
  options.adapter = hub_folder(options.adapter, HubUse::kAdapter, "--adapter");
  options.tokenizer = hub_folder(options.tokenizer, HubUse::kTokenizer, "--tokenizer");
  check_model_folder(options.model);
  const auto asked = questions(options);
  const auto tokenizer = load_tokenizer(options.tokenizer_folder());
  const auto given = prompts(asked, *tokenizer, options);
  const auto loaded = load_hub_folder(options.model, scalar_type(options.dtype), "auto", options.storage());
  check_vocabulary(loaded.model->facts, tokenizer->vocab_size(), options.tokenizer_folder());
  if (!options.adapter.empty())
    attach_adapter(*loaded.model, options.adapter, {hub_name(options.model), options.force_base ? "" : loaded.fingerprint});

  Generator generator(*loaded.model, *tokenizer, end_tokens(*tokenizer, options.model), options.generation);
  const auto start = std::chrono::steady_clock::now();
  const auto generations = answer(generator, asked, given, options);
  report(generations, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  return kExitSuccess;
}

}  // namespace herd
