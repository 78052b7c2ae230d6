#pragma once
#include <stdexcept>
#include <string>

namespace herd {

/// The four things an error owes its reader. Empty parts are left out of the message.
struct Complaint {
  std::string who{};       ///< the subject: a key with line and column, a file, a tensor, a rank
  std::string found{};     ///< what is there
  std::string expected{};  ///< what should be there
  std::string remedy{};    ///< what to do about it
  bool everywhere = false; ///< every rank throws this error now: none waits for another, and one of them tells it
};

/// Base of every error that herd throws: `who: found …; expected …`, the remedy on a line of its own.
class Error : public std::runtime_error {
 public:
  explicit Error(Complaint complaint);
  const Complaint& complaint() const { return complaint_; }

 private:
  Complaint complaint_;
};

/// A recipe, an override or a command line is wrong.
class ConfigError : public Error { using Error::Error; };
/// A data file, a record, a tokenizer or a prompt is wrong.
class DataError : public Error { using Error::Error; };
/// A tensor has another shape or dtype than its place.
class ShapeError : public Error { using Error::Error; };
/// Ranks disagree, or one of them is late or lost.
class CommError : public Error { using Error::Error; };
/// A file cannot be read, written or trusted.
class IoError : public Error { using Error::Error; };

}  // namespace herd
