#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace herd {

/// A collection of records that is known by name. Texts are empty and counts 0 where nothing is known.
struct CatalogueEntry {
  std::string alias, title;
  std::int64_t records = 0;
  std::string language, task, generation;  ///< tags, joined by "/": EN, CN, ML; MT, TS; HG, SI, MIX, COL
  std::string type, made_by, licence, get, formatted;
  std::vector<std::string> files;          ///< relative to data.folder, or to the file that lists them
  std::string format;                      ///< DataSet::format
  std::map<std::string, std::string> columns;
  std::string hub;                         ///< org/name of the hub, where the files are not here
  std::string place;                       ///< of the entry, for errors

  /// Whether it has the tag: one of its languages, tasks or ways of generation, in any case.
  bool has_tag(std::string_view tag) const;
};

/// What data.sets may call by name: herd's own list and the user's.
class Catalogue {
 public:
  /// @param more files of the user: herd's form (configs/data/catalogue.yaml), or LLaMA-Factory's dataset_info.json.
  /// @param folder in which the files of herd's own entries lie.
  /// @throws ConfigError for a file that is neither, with its place, or for an alias that is given twice.
  explicit Catalogue(const std::vector<std::string>& more = {}, std::filesystem::path folder = "data");

  const std::vector<CatalogueEntry>& entries() const { return entries_; }
  const CatalogueEntry* find(std::string_view alias) const;
  std::vector<std::string> aliases() const;
  /// The entry's files as paths; hub:… for those that the hub has. @throws ConfigError for an entry whose files nobody knows, with what to do.
  std::vector<std::string> files_of(const CatalogueEntry& entry) const;

 private:
  void add(std::vector<CatalogueEntry> entries);

  std::filesystem::path folder_;
  std::vector<CatalogueEntry> entries_;
};

}  // namespace herd
