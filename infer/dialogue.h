#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "data/record.h"

namespace herd {

/// What a person and a model said to each other: rounds of a question and its answer, of which the last one may be open.
class Dialogue {
 public:
  std::string system;  ///< empty: the template's own

  void ask(std::string question);
  void answer(std::string text);
  bool open() const { return !turns_.empty() && turns_.back().role == Role::kUser; }
  std::size_t rounds() const { return (turns_.size() + 1) / 2; }

  /// Forgets the last question, with its answer where it has one. @return it; nothing where there is none.
  std::optional<std::string> undo();
  /// Forgets the last answer alone. @return whether there is a question to answer again.
  bool reopen();
  /// All but the system text.
  void reset() { turns_.clear(); }

  /// What is said from a round on, after the system text.
  Record record(std::size_t from) const;
  /// The first round from which on everything has at most `most` tokens; the last one where nothing less fits.
  /// @param from where to begin to look.
  std::size_t first_that_fits(const std::function<std::int64_t(const Record&)>& tokens, std::int64_t most, std::size_t from) const;

  /// One JSON object in OpenAI's form, {"messages": [{"role", "content"}, …]}, which is a record of a data set too.
  std::string json() const;
  /// @param place for errors. @throws DataError for what is no conversation of a user and an assistant.
  static Dialogue parse(std::string_view json, const std::string& place);

 private:
  std::vector<Turn> turns_;  // of the user and the assistant, in turn
};

}  // namespace herd
