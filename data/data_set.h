#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "runtime/base/config.h"

namespace herd {

/// What of a set is taken. Empty lists and zeros take all.
struct Where {
  std::vector<std::string> category;  ///< records of one of these, in any case
  std::vector<std::string> language;  ///< likewise; a record that names none is guessed by its letters (language.h)
  std::int64_t min_chars = 0;         ///< characters of all turns together
  std::int64_t max_chars = 0;

  bool all() const { return *this == Where{}; }
  bool operator==(const Where&) const = default;
};

/// An item of data.sets.
struct DataSet {
  DataSet() = default;
  DataSet(std::string n) : name(std::move(n)) {}  // NOLINT: a name alone is a set

  std::string name;          ///< a file, a pattern or a folder; an alias of the catalogue; tag:CN …; hub:org/name/FILE
  std::string format;        ///< how its records are written (data/readers/format.h); empty: told by content
  std::map<std::string, std::string> columns;  ///< ReadOptions::columns
  double weight = 1;         ///< how often an epoch shows each record
  std::int64_t limit = 0;    ///< at most so many records, chosen by their content; 0: all
  Where where;

  bool operator==(const DataSet&) const = default;
};

void describe(Schema& s, DataSet& o);

}  // namespace herd
