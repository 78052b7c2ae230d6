#pragma once
#include <istream>
#include <string>

namespace herd {

/// What comes of asking for a line, or a message.
struct ChatLine {
  enum class Kind { kText, kInterrupted, kEnd };
  Kind kind = Kind::kText;
  std::string text;  ///< without its end

  bool operator==(const ChatLine&) const = default;
};

/// Where lines come from: a terminal with an editor, or a pipe.
class LineSource {
 public:
  virtual ~LineSource() = default;
  /// @param goes_on the line belongs to a message that has begun.
  virtual ChatLine next(bool goes_on) = 0;
};

/// Lines of a stream; a carriage return before a line's end is part of the end.
class StreamLines final : public LineSource {
 public:
  explicit StreamLines(std::istream& in) : in_(in) {}
  ChatLine next(bool goes_on) override;

 private:
  std::istream& in_;
};

/// A message: one line; or several, where a line ends in `\`, or from `"""` at the beginning of one to `"""` at the end of one. Where lines
/// end before it does, it ends with them.
ChatLine read_message(LineSource& lines);

}  // namespace herd
