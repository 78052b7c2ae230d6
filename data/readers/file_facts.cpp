#include "data/readers/file_facts.h"

#include <array>

#include "data/readers/data_file.h"
#include "data/readers/fault.h"

namespace herd {
namespace {

// Before the reading proper, which reports whatever is wrong with the place it is at.
void look_at_first(const std::string& path, const ReadOptions& options, FileFacts& facts) {
  DataFile file(path, options.format, options.columns);
  std::array<RecordSlice, 1> slice;
  for (std::size_t tried = 1; tried == 1 && file.next(slice[0]);) file.settle(slice, tried);
  facts.format = file.format();
  try {
    facts.fields = file.fields(slice[0]);
  } catch (const RecordFault&) {
  }
}

}  // namespace

FileFacts file_facts(const std::string& path, const ReadOptions& options, std::size_t first) {
  FileFacts facts;
  RecordReader reader({path}, options);
  for (auto block = reader.next(4096); !block.empty(); block = reader.next(4096))
    for (auto& record : block)
      if (facts.first.size() < first) facts.first.push_back(std::move(record));
  facts.report = reader.report();
  look_at_first(path, options, facts);
  return facts;
}

}  // namespace herd
