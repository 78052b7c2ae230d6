#include "data/readers/data_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "data/readers/fault.h"
#include "data/readers/paths.h"

namespace herd {
namespace {

/// JSON by its name, or by how it begins: as no text does, where the name says that it is one.
bool is_json(TextInput& in, const std::string& ending) {
  if (ending == ".json" || ending == ".jsonl" || ending == ".ndjson") return true;
  const auto first = in.first_visible();
  const auto rest = in.rest();
  if (first == rest.size() || (rest[first] != '{' && rest[first] != '[')) return false;
  if (ending != ".txt" && ending != ".tsv" && ending != ".csv") return true;
  const auto second = rest.find_first_not_of(" \t\r\n", first + 1);
  return second != rest.npos && rest[second] == (rest[first] == '{' ? '"' : '{');
}

std::string first_line(TextInput& in) {
  const auto visible = in.first_visible();
  const auto from = in.rest().rfind('\n', visible) + 1;  // its first column may be empty
  std::size_t end = 0;
  while ((end = in.rest().find('\n', visible)) == std::string_view::npos && in.more()) {
  }
  std::string line(in.rest().substr(from, end == std::string_view::npos ? end : end - from));
  if (line.ends_with('\r')) line.pop_back();
  return line;
}

}  // namespace

DataFile::DataFile(const std::string& path, const std::string& format, const Columns& columns) : in_(path), columns_(columns) {
  const auto* wanted = format.empty() ? nullptr : &record_formats().at(format);
  const bool may_be_json = !wanted || wanted->read_object;
  asked_for_ = wanted != nullptr;
  json_ = may_be_json && ((wanted && !wanted->read_line) || is_json(in_, data_ending(path)));
  name_ = wanted ? format : json_ ? (columns.empty() ? "" : "alpaca") : told_by_name_or_line(path);
  if (!name_.empty()) format_ = &record_formats().at(name_);
  splitter_ = json_ ? split_json(in_) : name_ == "csv" ? split_csv(in_) : split_lines(in_);
  if (!json_ && name_ == "cot") refuse_cot();
  if (!json_ && (name_ == "csv" || name_ == "tsv")) read_header();
}

/// By the name where it says what it is; else by the tabs of the first line.
std::string DataFile::told_by_name_or_line(const std::string& path) {
  const auto ending = data_ending(path);
  if (ending == ".csv") return "csv";
  if (ending == ".txt" && columns_.empty()) return "text";
  const auto line = first_line(in_);
  const auto tabs = std::count(line.begin(), line.end(), '\t');
  if (line.empty()) return "text";
  if (tabs > 0 && (!columns_.empty() || is_header(line, '\t'))) return "tsv";
  if (tabs == 1) return "query_answer";
  if (tabs == 2) return "cot";
  if (ending == ".tsv")
    throw DataError({.who = path + ":" + std::to_string(in_.line_at(in_.first_visible())),
                     .found = fmt::format("{} columns under no known header", tabs + 1),
                     .expected = "two columns, or columns named instruction and output",
                     .remedy = "say which is which: data columns: {instruction: …, output: …}"});
  throw DataError({.who = path,
                   .found = "neither JSON nor columns, and a name that does not tell",
                   .expected = "one of the formats text, csv, tsv, query_answer",
                   .remedy = "say which: data format: text"});
}

/// No line of it could be read, so the file is refused whatever becomes of broken records.
void DataFile::refuse_cot() {
  Parsed out;
  try {
    format_->read_line("", out);
  } catch (RecordFault& fault) {
    fault.lines_below += in_.line_at(in_.first_visible());
    throw;
  }
}

void DataFile::read_header() {
  RecordSlice first;
  if (!splitter_->next(first)) return;
  try {
    header_.emplace(first.text, name_ == "csv" ? ',' : '\t', columns_);
  } catch (RecordFault& fault) {
    fault.lines_below += first.line;
    throw;
  }
}

bool DataFile::next(RecordSlice& slice) {
  const bool more = splitter_->next(slice);
  found_ += more;
  return more;
}

void DataFile::settle(std::span<const RecordSlice> slices, std::size_t& tried) {
  for (tried = 0; json_ && !format_ && tried < slices.size(); ++tried) {
    Json object;
    try {
      object = parse_json(slices[tried].text);
    } catch (const RecordFault&) {
      continue;  // told again where the record is parsed
    }
    if (!object.is_object()) continue;
    name_ = recognise(object);
    format_ = &record_formats().at(name_);
    return;
  }
}

std::vector<std::string> DataFile::fields(const RecordSlice& slice) const {
  std::vector<std::string> out;
  if (header_) return header_->names();
  if (!json_) return out;
  const auto object = parse_json(slice.text);
  for (const auto& [name, value] : object.items()) out.push_back(name);
  return out;
}

Parsed DataFile::parse(const RecordSlice& slice) const {
  Parsed out;
  if (json_) out = parse_object(parse_json(slice.text));
  else if (!header_) format_->read_line(slice.text, out);
  else record_formats().at("alpaca").read_object(header_->object_of(slice.text), out);
  if (!columns_.empty() && !columns_.contains("input")) out.without_input = false;  // as was asked for
  return out;
}

Parsed DataFile::parse_object(const Json& object) const {
  Parsed out;
  const Fields must_be_object(object, "the fields of a record");
  if (!format_) throw RecordFault{.found = "a record before its file's format is known", .expected = "one that tells it"};
  try {
    format_->read_object(columns_.empty() ? object : renamed(object, columns_), out);
  } catch (const RecordFault&) {
    if (asked_for_ || !columns_.empty()) throw;
    std::string other;
    try {
      other = recognise(object);
    } catch (const RecordFault&) {
    }
    if (other.empty() || other == name_) throw;
    throw RecordFault{.found = "a record of the format '" + other + "'",
                      .expected = "'" + name_ + "', as the file begins",
                      .remedy = "write the two into files of their own"};
  }
  return out;
}

}  // namespace herd
