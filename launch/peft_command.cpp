#include "launch/peft_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "launch/command_line.h"
#include "peft/registry.h"
#include "runtime/base/exit_codes.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

int list() {
  for (const auto& [name, method] : peft_methods()) fmt::print("{:<18}{}\n", name, method.summary);
  fmt::print("\npeft.method takes a name; herd peft explain NAME says what it reads and what it leaves.\n");
  return kExitSuccess;
}

int explain(const std::string& name) {
  const auto& method = peft_methods().at(name);
  fmt::print("{}: {}\n", name, method.summary);
  fmt::print("leaves {}\n", method.result);
  if (!method.peft_type.empty()) fmt::print("adapter_config.json: peft_type {}\n", method.peft_type);
  if (method.keys.empty()) return kExitSuccess;
  PeftOptions defaults;
  Schema schema;
  describe(schema, defaults);
  fmt::print("\nkeys of the peft section:\n");
  schema.visit([&](const std::string& key, const Field& field) {
    if (method.reads(key)) fmt::print("  {}: {}\n      {}\n", key, field.unset, field.doc);
  });
  return kExitSuccess;
}

}  // namespace

int peft_command(int argc, char** argv) {
  CLI::App app("What a recipe's peft.method can be.", "herd peft");
  app.require_subcommand(1);
  int code = kExitSuccess;
  app.add_subcommand("list", "the methods, a line each")->final_callback([&] { code = list(); });
  std::string name;
  auto* about = app.add_subcommand("explain", "a method's keys with their defaults, what it leaves, whether that merges");
  about->add_option("method", name, "a name of herd peft list")->required();
  about->footer("herd peft explain ia3");
  about->final_callback([&] { code = explain(name); });
  if (!parse_arguments(app, argc, argv)) return kExitSuccess;
  return code;
}

}  // namespace herd
