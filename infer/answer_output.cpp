#include "infer/answer_output.h"

#include <memory>

#include "data/format/text_output.h"
#include "data/readers/data_file.h"
#include "data/readers/json_record.h"
#include "data/readers/write.h"
#include "runtime/base/error.h"

namespace herd {
namespace {

/// The objects that records were read from, once more: memory need not hold them while answers are made.
class Objects {
 public:
  Objects(const std::vector<std::string>& files, const ReadOptions& options) : files_(files), options_(options) {}

  /// Of later and later records. @return null for a file whose records are written otherwise.
  Json at(const Source& source) {
    if (!file_ || number_ != source.file) {
      file_ = std::make_unique<DataFile>(files_[source.file], options_.format, options_.columns);
      number_ = source.file;
    }
    if (!file_->holds_json()) return nullptr;
    while (file_->found() < source.record)
      if (!file_->next(slice_)) throw changed(source);
    auto object = Json::parse(slice_.text, nullptr, false);
    if (!object.is_object()) throw changed(source);
    return object;
  }

 private:
  DataError changed(const Source& source) const {
    return DataError({.who = describe(source, files_), .found = "another file than was read", .expected = "the same until its answers are written", .remedy = "put it back as it was, and start again"});
  }

  const std::vector<std::string>& files_;
  const ReadOptions& options_;
  std::unique_ptr<DataFile> file_;
  std::uint32_t number_ = 0;
  RecordSlice slice_;
};

// Some objects turn into several records.
bool is_alone(const std::vector<Record>& records, std::size_t i) {
  return (i == 0 || records[i - 1].source != records[i].source) && (i + 1 == records.size() || records[i + 1].source != records[i].source);
}

}  // namespace

void write_answers(const std::filesystem::path& output, const Records& records, const ReadOptions& options, const std::map<std::size_t, StoredAnswer>& answers) {
  const auto as = written_as(records.records);
  Objects objects(records.files, options);
  write_text(output, std::vector<std::filesystem::path>(records.files.begin(), records.files.end()), [&](TextOutput& out) {
    for (const auto& [number, answer] : answers) {
      const auto& record = records.records.at(number);
      auto object = is_alone(records.records, number) ? objects.at(record.source) : Json();
      if (object.is_null()) object = Json::parse(record_line(record, as));
      object["generated"] = answer.text;
      object["finish"] = answer.finish;
      object["new_tokens"] = answer.new_tokens;
      out.line(object.dump(-1, ' ', false, Json::error_handler_t::replace));
    }
  });
}

}  // namespace herd
