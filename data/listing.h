#pragma once
#include <string>
#include <vector>

#include "data/catalogue.h"
#include "data/readers/reader.h"

namespace herd {

/// The catalogue's entries as a table: alias, records, language, task, generation, type, licence, and whether the files are here.
/// @param tag of those to list; empty: all. @throws ConfigError for a tag that no entry has, with those that there are.
std::string catalogue_table(const Catalogue& catalogue, const std::string& tag);

/// All that the catalogue knows of an entry, a line each.
std::string entry_text(const CatalogueEntry& entry, const Catalogue& catalogue);

/// A file's format, number of records, fields, and its first records as they are read. @throws what RecordReader throws
std::string file_text(const std::string& path, const ReadOptions& options, std::size_t records);

/// A record as it was read, turn by turn.
std::string record_text(const Record& record);

/// record_formats() and how each is recognised.
std::string formats_table();

/// templates() with what each is.
std::string templates_table();

/// A conversation as the template puts it, with what the model learns marked by ⟦…⟧ or colour; and the text of a question with an input.
/// @throws ConfigError as find_template
std::string template_sample(const std::string& name_or_file, bool color);

}  // namespace herd
