#include "launch/quantise_command.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "launch/command_line.h"
#include "launch/hub_places.h"
#include "launch/quantise.h"
#include "runtime/base/exit_codes.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

int quantise(QuantiseRequest request) {
  request.model = hub_folder(request.model, HubUse::kModel, "herd quantize");
  request.on_layer = [](const std::string& layer, double error) {
    fmt::print("{:<48} error {:.4f}\n", layer, error);
    std::fflush(stdout);
  };
  const auto report = quantise_folder(request);
  const auto windows = [&](std::size_t count) {
    return fmt::format("{} of {}", plural(static_cast<std::int64_t>(count), "window"), plural(report.tokens, "token"));
  };
  fmt::print("(a layer's error: what the change of its matrix changes of its output, as a part of that, over {})\n", windows(report.shown));
  fmt::print("perplexity {:.4f} before, {:.4f} after: {:+.2f} %, on {} held out\n", report.perplexity_before, report.perplexity_after,
             100 * (report.perplexity_after / report.perplexity_before - 1), windows(report.held_out));
  fmt::print("{}: {} in {} bits by {}\n", request.output.string(), plural(static_cast<std::int64_t>(report.layers), "layer"), request.options.bits,
             request.method);
  return kExitSuccess;
}

}  // namespace

int quantise_command(int argc, char** argv) {
  CLI::App app("Writes a dense model with its linear layers in 2, 3, 4 or 8 bits, by GPTQ: layer by layer, looking at the inputs of a text.", "herd quantize");
  QuantiseRequest request;
  auto& o = request.options;
  int threads = 0;
  app.add_option("model", request.model, "a dense model's folder, or its hub id, org/name")->required();
  app.add_option("output", request.output, "folder to write; new or empty")->required();
  app.add_option("--calibration", request.calibration, "a text file, or records (.json, .jsonl): text like that which the model will see")->required()->check(CLI::ExistingFile);
  app.add_option("--bits", o.bits, "of a number")->check(CLI::IsMember({2, 3, 4, 8}))->capture_default_str();
  app.add_option("--group-size", o.group_size, "inputs that share a scale; -1: all of a row's")
      ->check(CLI::Range(-1, 1 << 22))->check([](const std::string& text) { return text == "0" ? std::string("at least 1, or -1") : std::string(); })->capture_default_str();
  app.add_flag("--act-order", o.act_order, "the columns whose inputs are greatest first: better, slower to read");
  app.add_flag("--symmetric", o.symmetric, "no zero points: the middle code is zero");
  app.add_option("--damp", o.damp, "of the Hessian's mean diagonal, added to it")->check(CLI::Range(1e-6, 10.0))->capture_default_str();
  app.add_option("--samples", request.samples, "windows of the text to look at, at most")->check(CLI::Range(1, 1 << 20))->capture_default_str();
  app.add_option("--tokens", request.tokens, "of a window; default: 2048, or the model's context where that is less")->check(CLI::Range(2, 1 << 20));
  app.add_option("--evaluate", request.evaluate, "a text or records to take perplexities on; default: the last tenth of --calibration, left out")->check(CLI::ExistingFile);
  app.add_option("--method", request.method, "gptq; rtn: round to nearest, to compare with")->check(CLI::IsMember({"gptq", "rtn"}))->capture_default_str();
  app.add_option("--dtype", request.dtype, "of the arithmetic; what stays dense is copied as it is stored")->check(CLI::IsMember({"fp32", "bf16"}))->capture_default_str();
  app.add_option("--threads", threads, "0: the machine's cores")->check(CLI::Range(0, 1024))->capture_default_str();
  app.footer("herd quantize llama-7b llama-7b-4bit --calibration wiki.txt --bits 4 --group-size 128 --act-order");
  if (!parse_arguments(app, argc, argv)) return kExitSuccess;
  if (threads > 0) at::set_num_threads(threads);
  return quantise(std::move(request));
}

}  // namespace herd
