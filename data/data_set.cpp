#include "data/data_set.h"

namespace herd {

void describe(Schema& s, Where& o) {
  s.field("category", o.category, "records of one of these categories");
  s.field("language", o.language, "records in one of these languages (EN, CN, …); where a record names none, its letters tell");
  s.field("min_chars", o.min_chars, "records of at least so many characters, all turns together").at_least(0);
  s.field("max_chars", o.max_chars, "records of at most so many characters; 0: any").at_least(0);
}

void describe(Schema& s, DataSet& o) {
  s.field("name", o.name, "a file, a pattern (data/*.jsonl) or a folder; a name of `herd data list`; tag:CN; hub:org/name/FILE").known_as({"path", "file", "file_name"});
  s.field("format", o.format, "how its records are written, one of `herd data formats`; empty: told by content").known_as({"formatting", "type"});
  s.field("columns", o.columns, "which column or field is which: {instruction: Question, output: Answer}");
  s.field("weight", o.weight, "how often an epoch shows each record: 0.5 shows every one in each second epoch, 2 twice").above(0).at_most(1000).known_as({"probability"});
  s.field("limit", o.limit, "at most so many records, chosen by their content; 0: all").at_least(0).known_as({"num_samples", "max_samples"});
  s.section("where", o.where, "which records are taken");
}

}  // namespace herd
