#include "data/data_options.h"

#include <cmath>

#include "data/template.h"

namespace herd {

void describe(Schema& s, DataOptions& o) {
  s.field("sets", o.sets, "files of instruction records (JSON or JSON lines), from the working folder, in this order; or hub:org/name/FILE")
      .known_as({"path", "data_path", "dataset", "datasets", "files"});
  s.field("template", o.template_name, "how a record reads as text").one_of(templates().names()).known_as({"prompt_template_name"});
  s.field("max_tokens", o.max_tokens, "longest row, in tokens")
      .at_least(2)
      .known_as({"max_seq_length", "cutoff_len", "model_max_length", "max_length"});
  s.choice("train_on",
           o.train_on,
           {{"response", TrainOn::kResponse}, {"all", TrainOn::kAll}},
           "which tokens are learnt: the response with its end of sequence, or all but the first")
      .known_as({"train_on_inputs", "train_on_input"});
  s.field("packing", o.packing, "several records a row, without attention across them; false: pad to the longest of a batch");
  s.field("held_out", o.held_out, "records kept for evaluation: below 1 a fraction of all, from 1 on their number")
      .at_least(0)
      .known_as({"val_set_size", "validation_split"});
  s.choice("overlong", o.overlong, {{"truncate", Overlong::kTruncate}, {"skip", Overlong::kSkip}, {"error", Overlong::kError}},
           "what becomes of a record with more than max_tokens tokens; how many is told");
  s.choice("unsupervised", o.unsupervised, {{"error", Unsupervised::kError}, {"skip", Unsupervised::kSkip}},
           "what becomes of a record in which no token is left to learn; how many is told");
  s.field("seed", o.seed, "seed of the sample order and of the held-out split").at_least(0);
  s.field("threads", o.threads, "threads for tokenising; 0: one a core")
      .range(0, 1024)
      .known_as({"num_workers", "preprocessing_num_workers"});
}

void DataOptions::validate() const {
  if (held_out >= 1 && held_out != std::floor(held_out))
    throw InvalidSetting("held_out", write_value(held_out).text, "a fraction below 1 or a whole number of records");
}

}  // namespace herd
