#include "runtime/report/canvas.h"

#include <cairo.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <numbers>

#include "runtime/base/error.h"

namespace herd {
namespace {

constexpr const char* kReplacement = "\xEF\xBF\xBD";  // U+FFFD

// cairo's text calls know one font and no fallback, so a title in Chinese needs a font that has it by name. The first one is the
// system's choice; of the others, those that are not installed turn into the first.
constexpr std::array kFamilies{"sans-serif",          "Noto Sans CJK SC",    "Source Han Sans SC", "WenQuanYi Micro Hei",
                               "WenQuanYi Zen Hei",   "Droid Sans Fallback", "Noto Sans Symbols2", "Symbola"};

// Bytes of the UTF-8 character at the front, 0 where there is none. As strict as cairo, which draws nothing more after a bad string.
std::size_t length_of_first(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const std::size_t length = byte(0) < 0x80 ? 1 : byte(0) >> 5 == 0x6 ? 2 : byte(0) >> 4 == 0xe ? 3 : byte(0) >> 3 == 0x1e ? 4 : 0;
  if (length <= 1 || text.size() < length) return length == 1 ? 1 : 0;
  std::uint32_t code = byte(0) & (0xff >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if (byte(i) >> 6 != 2) return 0;
    code = code << 6 | (byte(i) & 0x3f);
  }
  constexpr std::array<std::uint32_t, 5> kLeast{0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xd800 && code < 0xe000, noncharacter = (code >= 0xfdd0 && code < 0xfdf0) || (code & 0xfffe) == 0xfffe;
  return code < kLeast[length] || code > 0x10ffff || surrogate || noncharacter ? 0 : length;
}

bool has_glyph(cairo_t* cairo, const std::string& character) {
  cairo_glyph_t* glyphs = nullptr;
  int count = 0;
  const auto status = cairo_scaled_font_text_to_glyphs(cairo_get_scaled_font(cairo), 0, 0, character.data(), static_cast<int>(character.size()),
                                                       &glyphs, &count, nullptr, nullptr, nullptr);
  const bool drawn = status == CAIRO_STATUS_SUCCESS && std::all_of(glyphs, glyphs + count, [](const auto& glyph) { return glyph.index != 0; });
  cairo_glyph_free(glyphs);
  return drawn;
}

void choose(cairo_t* cairo, const char* family, const Label& label) {
  cairo_select_font_face(cairo, family, CAIRO_FONT_SLANT_NORMAL, label.bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
  cairo_set_font_size(cairo, label.size);
}

const char* family_with(cairo_t* cairo, const std::string& character, const Label& label) {
  for (const char* family : kFamilies) {
    choose(cairo, family, label);
    if (has_glyph(cairo, character)) return family;
  }
  return kFamilies.front();
}

struct Run {
  const char* family;
  std::string text;
  double width = 0;
};

std::vector<Run> runs_of(cairo_t* cairo, const Label& label) {
  std::vector<Run> runs;
  for (const auto& character : characters(label.text)) {
    const char* family = family_with(cairo, character, label);
    if (runs.empty() || runs.back().family != family) runs.push_back({family, ""});
    runs.back().text += character;
  }
  for (auto& run : runs) {
    choose(cairo, run.family, label);
    cairo_text_extents_t extents{};
    cairo_text_extents(cairo, run.text.c_str(), &extents);
    run.width = extents.x_advance;
  }
  return runs;
}

double width_of_runs(const std::vector<Run>& runs) {
  double width = 0;
  for (const auto& run : runs) width += run.width;
  return width;
}

void set_colour(cairo_t* cairo, const Colour& c) { cairo_set_source_rgba(cairo, c.red, c.green, c.blue, c.alpha); }

}  // namespace

std::vector<std::string> characters(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const auto length = length_of_first(text);
    const bool control = length == 1 && (static_cast<unsigned char>(text[0]) < 0x20 || text[0] == 0x7f);
    out.push_back(length == 0 ? kReplacement : control ? " " : std::string(text.substr(0, length)));
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out;
}

Canvas::Canvas(int width, int height)
    : surface_(cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height), cairo_surface_destroy),
      cairo_(cairo_create(surface_.get()), cairo_destroy) {
  set_colour(cairo_.get(), {1, 1, 1});
  cairo_paint(cairo_.get());
  cairo_set_line_join(cairo_.get(), CAIRO_LINE_JOIN_ROUND);
  cairo_set_line_cap(cairo_.get(), CAIRO_LINE_CAP_ROUND);
}

Canvas::~Canvas() = default;

void Canvas::line(Dot from, Dot to, double width, const Colour& colour) { polyline({from, to}, width, colour); }

void Canvas::polyline(const std::vector<Dot>& dots, double width, const Colour& colour) {
  set_colour(cairo_.get(), colour);
  cairo_set_line_width(cairo_.get(), width);
  for (const auto& dot : dots) cairo_line_to(cairo_.get(), dot.x, dot.y);
  cairo_stroke(cairo_.get());
}

void Canvas::area(const std::vector<Dot>& outline, const Colour& colour) {
  cairo_new_path(cairo_.get());
  for (const auto& dot : outline) cairo_line_to(cairo_.get(), dot.x, dot.y);
  cairo_close_path(cairo_.get());
  set_colour(cairo_.get(), colour);
  cairo_fill(cairo_.get());
}

void Canvas::disc(Dot centre, double radius, const Colour& colour) {
  cairo_new_path(cairo_.get());
  cairo_arc(cairo_.get(), centre.x, centre.y, radius, 0, 2 * std::numbers::pi);
  set_colour(cairo_.get(), colour);
  cairo_fill_preserve(cairo_.get());
  set_colour(cairo_.get(), {1, 1, 1});
  cairo_set_line_width(cairo_.get(), 1.2);
  cairo_stroke(cairo_.get());
}

double Canvas::text(const Label& label, Dot at, const Colour& colour) {
  const auto runs = runs_of(cairo_.get(), label);
  const double width = width_of_runs(runs);
  cairo_save(cairo_.get());
  cairo_translate(cairo_.get(), at.x, at.y);
  if (label.upwards) cairo_rotate(cairo_.get(), -std::numbers::pi / 2);
  set_colour(cairo_.get(), colour);
  double x = -label.anchor * width;
  for (const auto& run : runs) {
    choose(cairo_.get(), run.family, label);
    cairo_move_to(cairo_.get(), x, 0);
    cairo_show_text(cairo_.get(), run.text.c_str());
    x += run.width;
  }
  cairo_new_path(cairo_.get());  // the place behind the text is the start of no line
  cairo_restore(cairo_.get());
  return width;
}

double Canvas::width_of(const Label& label) const { return width_of_runs(runs_of(cairo_.get(), label)); }

std::string Canvas::shortened(Label label, double width) const {
  if (width_of(label) <= width) return label.text;
  auto kept = characters(label.text);
  do {
    kept.pop_back();
    label.text.clear();
    for (const auto& character : kept) label.text += character;
    label.text += "…";
  } while (!kept.empty() && width_of(label) > width);
  return label.text;
}

void Canvas::clip(Dot upper_left, Dot lower_right) {
  cairo_rectangle(cairo_.get(), upper_left.x, upper_left.y, lower_right.x - upper_left.x, lower_right.y - upper_left.y);
  cairo_clip(cairo_.get());
}

void Canvas::unclip() { cairo_reset_clip(cairo_.get()); }

std::string Canvas::png() const {
  std::string bytes;
  const auto append = [](void* out, const unsigned char* data, unsigned int length) {
    static_cast<std::string*>(out)->append(reinterpret_cast<const char*>(data), length);
    return CAIRO_STATUS_SUCCESS;
  };
  auto status = cairo_status(cairo_.get());
  if (status == CAIRO_STATUS_SUCCESS) status = cairo_surface_write_to_png_stream(surface_.get(), append, &bytes);
  if (status != CAIRO_STATUS_SUCCESS)
    throw IoError({.who = "picture", .found = std::string("cairo cannot draw it: ") + cairo_status_to_string(status), .expected = "", .remedy = ""});
  return bytes;
}

}  // namespace herd
