#pragma once
#include <filesystem>

namespace herd {

/// A folder that is filled beside its place and then takes that place whole, in one step, or not at all: whoever looks there sees what was
/// there before or all of the new, also after a crash. An object that goes without `commit` leaves nothing; what a killed process left
/// is removed by the next that makes a new folder at the same place on the same host (remove_leftovers in temporary.h).
class NewFolder {
 public:
  enum class Place {
    kFree,      ///< nothing may be there yet but an empty folder
    kAnything,  ///< what is there is replaced
  };
  /// Makes the neighbour, and the folders above. @throws IoError; where `place` is not free, too.
  NewFolder(const std::filesystem::path& place, Place state);
  ~NewFolder();
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;

  /// Where to put the files meanwhile.
  const std::filesystem::path& path() const { return path_; }
  /// Syncs and moves it. Where the file system cannot exchange two names, what was there is aside for a moment. @throws IoError.
  void commit() const;

 private:
  std::filesystem::path place_, path_;
};

}  // namespace herd
