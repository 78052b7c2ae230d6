#pragma once
#include <string>
#include <vector>

#include "runtime/report/canvas.h"

namespace herd {

/// A colour by what it is for, so that a page may give it another one in the dark.
struct Paint {
  enum class Role { kText, kFaint, kGrid, kMark, kSeries };
  Role role = Role::kText;
  int number = 0;  ///< of a series; they go round after kSeriesColours
};
inline constexpr int kSeriesColours = 8;

/// Shapes, drawn in their order: as a PNG by this machine's fonts, or as SVG, whose text the viewer draws by its own. Widths of text are
/// estimated, so that a picture is laid out alike with and without fonts.
class Picture {
 public:
  Picture(double width, double height) : width_(width), height_(height) {}

  void area(std::vector<Dot> outline, Paint paint);
  void box(Dot upper_left, Dot lower_right, Paint paint);
  void line(Dot from, Dot to, double width, Paint paint);
  void text(Label label, Dot at, Paint paint = {});

  /// @param alone a file of its own, with white paper and colours; else a piece for a page whose style sheet has the classes of
  /// `svg_style`.
  std::string svg(bool alone = true) const;
  /// Twice as many pixels as the picture's units. @throws IoError
  std::string png() const;

 private:
  struct Shape {
    std::vector<Dot> outline;  // of an area; two dots of a line; one of a text
    Label label;
    double width = 0;
    Paint paint;
    enum class Kind { kArea, kLine, kText } kind = Kind::kArea;
  };

  double width_, height_;
  std::vector<Shape> shapes_;
};

/// Style sheet of the classes that svg(false) uses, on light paper or on dark.
std::string svg_style(bool dark);

/// About how wide a text is, and as much of its beginning as fits into `width`, with "…".
double estimated_width(const Label& label);
std::string fitted(Label label, double width);

/// `text` for HTML and XML: & < > " ' written as entities, control characters as spaces, what is not UTF-8 as U+FFFD.
std::string escaped(std::string_view text);

}  // namespace herd
