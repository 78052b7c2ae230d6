#pragma once
#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "infer/request.h"
#include "runtime/base/file.h"

namespace herd {

/// An answer as it is kept until all are there.
struct StoredAnswer {
  std::size_t record = 0;  ///< of the input, from 0
  std::string text, finish;
  std::size_t new_tokens = 0;

  bool operator==(const StoredAnswer&) const = default;
};

/// What answers come out of, by name: they go on only under the same.
using AnswerSettings = std::map<std::string, std::string>;

/// Answers of a prediction that is under way or was stopped: in a folder beside its output, a file of each rank of each start, a line an answer. Of a file whose
/// rank was killed the whole lines count. Nobody goes on in another's file: a rank may live on for a moment after its launcher was killed.
class AnswerParts {
 public:
  /// Names places and touches nothing.
  explicit AnswerParts(const std::filesystem::path& output) : folder_(output.string() + ".parts") {}
  const std::filesystem::path& folder() const { return folder_; }

  /// For one rank, before the others look: makes the folder. @return the number of this start. @throws ConfigError with the settings that differ where
  /// answers under others are there; IoError.
  int open(const AnswerSettings& settings) const;
  /// Those of all ranks so far, by record. @throws IoError.
  std::map<std::size_t, StoredAnswer> read() const;
  /// Where the answers of a rank go.
  File part(int start, int rank) const;
  static std::string line(std::size_t record, const Generation& generation);
  void remove() const;

 private:
  std::vector<std::filesystem::path> files() const;

  std::filesystem::path folder_;
};

}  // namespace herd
