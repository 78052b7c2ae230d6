#include "launch/predict_options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>

#include "launch/command_line.h"

namespace herd {

void PredictOptions::validate() {
  for (const auto& column : columns) {
    const auto cut = std::min(column.find('='), column.size());
    if (cut == 0 || cut + 1 >= column.size())
      throw ConfigError(
          {.who = "--column", .found = "'" + column + "'", .expected = "NAME=FIELD, such as instruction=Question", .remedy = ""});
    reading.columns[column.substr(0, cut)] = column.substr(cut + 1);
  }
  speaker.validate();
  sampling.validate();
  engine.validate();
}

void declare(CLI::App& app, PredictOptions& o) {
  static const std::map<std::string, Broken> kFates{{"stop", Broken::kStop}, {"skip", Broken::kSkip}};
  declare(app, o.speaker);
  app.add_option("--use", o.use, "the adapter that answers; default: the one without a name, or the base alone");
  app.add_option("files", o.inputs, "files of records, patterns or folders")->required();
  app.add_option("--output", o.output, "JSON lines to write")->required();
  app.add_option("--format", o.reading.format, "how records are written; default: told by their content");
  declare_list(app, "--column", o.columns,
               "NAME=FIELD: which column is the instruction, input, output, system, category; may be given several times");
  app.add_option("--broken", o.reading.broken, "what becomes of a record that cannot be read or asked: an error, or left out and counted")
      ->option_text("stop|skip [stop]")
      ->transform(CLI::CheckedTransformer(kFates));
  app.add_flag("--raw", o.raw, "leave what the template puts around an answer");
  app.add_flag("--shared", o.shared, "each rank holds a part of the weights alone: for a model that no rank has room for");
  declare(app, o.sampling);
  app.add_option("--batch-size", o.engine.batch_size, "questions that each rank answers side by side")->capture_default_str();
}

}  // namespace herd
