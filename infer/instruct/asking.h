#pragma once
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "data/record.h"
#include "infer/endpoint.h"
#include "infer/instruct/instructor.h"

namespace herd {

/// A task to show a model in a prompt.
struct SeedTask {
  std::string instruction, input, output;
};

/// Seed tasks: records of one question and its answer, in any form that herd reads (BELLE's and Self-Instruct's `instances` too).
/// @throws what read_records throws; DataError naming a record of another shape
std::vector<SeedTask> read_seed_tasks(const std::filesystem::path& file);
/// A topic a line; empty lines, and those that begin with #, are left out. @throws IoError, DataError without any topic.
std::vector<std::string> read_topics(const std::filesystem::path& file);

/// What a request was made of, for its records: numbers from 1.
struct AskedOf {
  std::vector<std::int64_t> seeds, generated;
  std::vector<std::string> topics;
};

struct Asked {
  ChatQuestion question;
  AskedOf of;
};

/// Makes the prompts of a generation: each a pure function of the seed, its number, and the records that it may show.
class Asking {
 public:
  /// @param own so many of the examples are of what was generated, as far as there is any: 2 of 8 in Self-Instruct.
  /// @throws ConfigError where the instructor wants more seeds or topics than there are.
  Asking(Instructor instructor, std::vector<SeedTask> seeds, std::vector<std::string> topics, std::uint64_t seed, std::int64_t own = 0);

  /// @param generated what came out so far, of which examples may be taken.
  Asked request(std::int64_t number, std::span<const Record> generated) const;
  /// The second step: the answer to a draft.
  ChatQuestion answer(const Record& draft) const;

  const Instructor& instructor() const { return instructor_; }
  const std::vector<SeedTask>& seeds() const { return seeds_; }
  std::int64_t own() const { return own_; }

 private:
  ChatQuestion question(std::string prompt) const;
  std::string examples(std::int64_t number, std::span<const Record> generated, AskedOf& of) const;
  std::string topics(std::int64_t number, AskedOf& of) const;

  Instructor instructor_;
  std::vector<SeedTask> seeds_;
  std::vector<std::string> topics_;
  std::uint64_t seed_;
  std::int64_t own_;
};

}  // namespace herd
