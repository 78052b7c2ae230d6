#include "data/data_options.h"

#include <cmath>

#include "data/template/template.h"

namespace herd {

void describe(Schema& s, DataOptions& o) {
  s.list("sets", o.sets, "name", "what is learnt from: files, patterns, folders, names of `herd data list`, tag:…, hub:org/name/FILE")
      .known_as({"path", "data_path", "dataset", "datasets", "files", "train_file"});
  s.field("catalogue", o.catalogue, "further lists of data sets by name: YAML as configs/data/catalogue.yaml, or LLaMA-Factory's dataset_info.json").known_as({"dataset_info"});
  s.field("folder", o.folder, "folder in which the files of herd's own list lie").known_as({"dataset_dir"});
  s.choice("broken", o.broken, {{"stop", Broken::kStop}, {"skip", Broken::kSkip}}, "what becomes of a record that cannot be read; how many is told");
  s.choice("deduplicate", o.deduplicate, {{"off", Deduplicate::kOff}, {"exact", Deduplicate::kExact}, {"near", Deduplicate::kNear}},
           "which records count as one: those of the same content, or also those of nearly the same; the first stays");
  s.field("near", o.near, "share of five-character pieces from which on two records are nearly the same").above(0.3).at_most(1);
  s.field("template", o.template_name, "how a record reads as text: one of `herd data templates`, a file of that form (*.yaml), or `tokenizer`: its own chat template")
      .known_as({"prompt_template_name", "conv_template", "chat_template"});
  s.choice("objective", o.objective, {{"instructions", Objective::kInstructions}, {"text", Objective::kText}},
           "instructions: records go through the template; text: they are plain text, joined by ends of sequence and cut into rows of max_tokens");
  s.field("max_tokens", o.max_tokens, "longest row, in tokens")
      .at_least(2)
      .known_as({"max_seq_length", "cutoff_len", "model_max_length", "max_length"});
  s.choice("train_on",
           o.train_on,
           {{"response", TrainOn::kResponse}, {"last_response", TrainOn::kLastResponse}, {"record", TrainOn::kRecord}, {"all", TrainOn::kAll}},
           "which tokens are learnt: the responses with their ends, the last one alone, those that a record marks itself, or all but the first token")
      .known_as({"train_on_inputs", "train_on_input"});
  s.field("packing", o.packing, "several records a row, without attention across them; false: pad to the longest of a batch");
  s.field("group_by_length", o.group_by_length, "without packing: the rows of a step are of like length, so that little is padded");
  s.field("held_out", o.held_out, "records kept for evaluation: below 1 a fraction, which never leaks between mixtures; from 1 on their number")
      .at_least(0)
      .known_as({"val_set_size", "validation_split"});
  s.choice("overlong", o.overlong, {{"truncate", Overlong::kTruncate}, {"skip", Overlong::kSkip}, {"error", Overlong::kError}},
           "what becomes of a record with more than max_tokens tokens; how many is told");
  s.choice("unsupervised", o.unsupervised, {{"error", Unsupervised::kError}, {"skip", Unsupervised::kSkip}},
           "what becomes of a record in which no token is left to learn; how many is told");
  s.field("seed", o.seed, "seed of the sample order").at_least(0);
  s.field("split_seed", o.split_seed, "seed of the held-out split; the same for all runs that are to be compared").at_least(0);
  s.field("streaming", o.streaming, "true: records are read and tokenised while training goes on, and never kept; wants train.max_steps");
  s.field("cache", o.cache, "folder that keeps tokenised data; empty: ~/.cache/herd/data, for 16 MB of files and more; off: none").known_as({"tokenized_path", "cache_dir"});
  s.field("threads", o.threads, "threads for tokenising; 0: one a core")
      .range(0, 1024)
      .known_as({"num_workers", "preprocessing_num_workers"});
}

void DataOptions::validate() const {
  if (is_template_file(template_name)) {
    find_template(template_name);
  } else if (template_name != kTokenizersTemplate && !templates().find(template_name)) {
    const auto close = nearest(template_name, templates().names());
    throw InvalidSetting("template", template_name, "one of " + join(templates().names()) + ", tokenizer, or a file *.yaml",
                         close.empty() ? "" : "did you mean '" + close + "'?");
  }
  if (packing && group_by_length)
    throw InvalidSetting("group_by_length", "true", "false beside data.packing, which fills rows anyway", "leave one of them out");
  if (held_out >= 1 && held_out != std::floor(held_out))
    throw InvalidSetting("held_out", write_value(held_out).text, "a fraction below 1 or a whole number of records");
}

}  // namespace herd
