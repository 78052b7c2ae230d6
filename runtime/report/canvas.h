#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct _cairo;
struct _cairo_surface;

namespace herd {

struct Colour {
  double red = 0, green = 0, blue = 0, alpha = 1;  ///< 0 to 1
};

/// A place on a canvas: pixels from its upper left corner.
struct Dot {
  double x = 0, y = 0;
};

/// Words to draw, in UTF-8. Bytes that are none appear as U+FFFD, control characters as spaces.
struct Label {
  std::string text;
  double size = 15;
  double anchor = 0;  ///< 0: begins at its place, 0.5: centred on it, 1: ends there
  bool bold = false;
  bool upwards = false;  ///< turned left by a quarter
};

/// A white picture to draw on, made into a PNG. Text is in the system's sans-serif font; a character that it lacks is taken from an
/// installed font known for Chinese, Japanese, Korean or symbols, and where none has it, is an empty box.
class Canvas {
 public:
  Canvas(int width, int height);
  ~Canvas();

  void line(Dot from, Dot to, double width, const Colour& colour);
  void polyline(const std::vector<Dot>& dots, double width, const Colour& colour);
  /// A filled outline, without a rim.
  void area(const std::vector<Dot>& outline, const Colour& colour);
  /// A filled circle with a white rim.
  void disc(Dot centre, double radius, const Colour& colour);
  /// @return its width
  double text(const Label& label, Dot at, const Colour& colour);
  double width_of(const Label& label) const;
  /// The text if it is at most `width` pixels wide, else as much of its beginning as fits, and "…".
  std::string shortened(Label label, double width) const;
  /// What is drawn from now on stays within the rectangle.
  void clip(Dot upper_left, Dot lower_right);
  void unclip();
  /// @throws IoError where cairo could not draw (out of memory).
  std::string png() const;

 private:
  std::unique_ptr<_cairo_surface, void (*)(_cairo_surface*)> surface_;
  std::unique_ptr<_cairo, void (*)(_cairo*)> cairo_;
};

/// The characters of a text in UTF-8, each in bytes of its own; what is not UTF-8 as U+FFFD, control characters as spaces.
std::vector<std::string> characters(std::string_view text);

}  // namespace herd
