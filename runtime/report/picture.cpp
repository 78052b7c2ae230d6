#include "runtime/report/picture.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

namespace herd {
namespace {

struct Ink {
  const char* name;
  unsigned light, dark;  // 0xRRGGBB
};

constexpr std::array kInks{Ink{"t", 0x292e38, 0xe6e8ec}, Ink{"f", 0x5b626d, 0xa7afbb}, Ink{"g", 0xe2e5ea, 0x353b45},
                           Ink{"m", 0xc0392b, 0xff8a75}};
// Okabe & Ito 2008, which colour-blind readers tell apart; the yellow, faint on white, comes last, and black is a grey.
constexpr std::array kSeries{Ink{"s0", 0x0072b2, 0x3a9bd9}, Ink{"s1", 0xe69f00, 0xf0b232}, Ink{"s2", 0x009e73, 0x2fbf95},
                             Ink{"s3", 0xcc79a7, 0xd98fb9}, Ink{"s4", 0x56b4e9, 0x7cc7f0}, Ink{"s5", 0xd55e00, 0xef7d2b},
                             Ink{"s6", 0x7f8793, 0x8d96a3}, Ink{"s7", 0xd9c900, 0xf0e442}};
static_assert(kSeries.size() == kSeriesColours);

const Ink& ink_of(const Paint& paint) {
  if (paint.role == Paint::Role::kSeries) return kSeries[static_cast<std::size_t>(paint.number) % kSeries.size()];
  return kInks[static_cast<std::size_t>(paint.role)];
}

Colour on_paper(const Paint& paint) {
  const auto rgb = ink_of(paint).light;
  const auto part = [&](int shift) { return static_cast<double>(rgb >> shift & 0xff) / 255; };
  return {part(16), part(8), part(0)};
}

std::string attributes(const Paint& paint) { return fmt::format("class=\"{}\"", ink_of(paint).name); }

bool is_wide(const std::string& character) { return character.size() >= 3; }

}  // namespace

void Picture::area(std::vector<Dot> outline, Paint paint) {
  shapes_.push_back({.outline = std::move(outline), .label = {}, .paint = paint, .kind = Shape::Kind::kArea});
}

void Picture::box(Dot a, Dot b, Paint paint) { area({a, {b.x, a.y}, b, {a.x, b.y}}, paint); }

void Picture::line(Dot from, Dot to, double width, Paint paint) {
  shapes_.push_back({.outline = {from, to}, .label = {}, .width = width, .paint = paint, .kind = Shape::Kind::kLine});
}

void Picture::text(Label label, Dot at, Paint paint) {
  shapes_.push_back({.outline = {at}, .label = std::move(label), .paint = paint, .kind = Shape::Kind::kText});
}

std::string Picture::svg(bool alone) const {
  auto out =
      fmt::format("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:g} {1:g}\"{2} role=\"img\" font-family=\"sans-serif\">",
                  width_, height_, alone ? fmt::format(" width=\"{:g}\" height=\"{:g}\"", width_, height_) : "");
  if (alone) out += fmt::format("<style>{}</style><rect width=\"{:g}\" height=\"{:g}\" fill=\"#fff\"/>", svg_style(false), width_, height_);
  for (const auto& shape : shapes_) {
    const auto& first = shape.outline.front();
    if (shape.kind == Shape::Kind::kText) {
      const auto& label = shape.label;
      const auto* anchor = label.anchor < 0.25 ? "start" : label.anchor > 0.75 ? "end" : "middle";
      out += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"{:g}\" text-anchor=\"{}\"{}{} {}>{}</text>", first.x, first.y,
                         label.size, anchor, label.bold ? " font-weight=\"bold\"" : "",
                         label.upwards ? fmt::format(" transform=\"rotate(-90 {:.1f} {:.1f})\"", first.x, first.y) : "",
                         attributes(shape.paint), escaped(label.text));
    } else if (shape.kind == Shape::Kind::kLine) {
      out += fmt::format("<path d=\"M{:.1f} {:.1f}L{:.1f} {:.1f}\" stroke=\"currentColor\" stroke-width=\"{:g}\" {}/>", first.x, first.y,
                         shape.outline[1].x, shape.outline[1].y, shape.width, attributes(shape.paint));
    } else {
      std::string path;
      for (const auto& dot : shape.outline) path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", dot.x, dot.y);
      out += fmt::format("<path d=\"{}Z\" {}/>", path, attributes(shape.paint));
    }
  }
  return out + "</svg>";
}

std::string Picture::png() const {
  constexpr double kScale = 2;
  Canvas canvas(static_cast<int>(std::ceil(kScale * width_)), static_cast<int>(std::ceil(kScale * height_)));
  for (const auto& shape : shapes_) {
    auto dots = shape.outline;
    for (auto& dot : dots) dot = {kScale * dot.x, kScale * dot.y};
    const auto colour = on_paper(shape.paint);
    if (shape.kind == Shape::Kind::kText) {
      auto label = shape.label;
      label.size *= kScale;
      canvas.text(label, dots[0], colour);
    } else if (shape.kind == Shape::Kind::kLine) {
      canvas.line(dots[0], dots[1], kScale * shape.width, colour);
    } else {
      canvas.area(dots, colour);
    }
  }
  return canvas.png();
}

std::string svg_style(bool dark) {
  std::string out;
  const auto add = [&](const Ink& ink) {
    out += fmt::format(".{0}{{fill:#{1:06x};color:#{1:06x}}}", ink.name, dark ? ink.dark : ink.light);
  };
  for (const auto& ink : kInks) add(ink);
  for (const auto& ink : kSeries) add(ink);
  return out;
}

double estimated_width(const Label& label) {
  double units = 0;
  for (const auto& character : characters(label.text)) units += is_wide(character) ? 1.0 : 0.56;
  return units * label.size * (label.bold ? 1.06 : 1);
}

std::string fitted(Label label, double width) {
  if (estimated_width(label) <= width) return label.text;
  auto kept = characters(label.text);
  do {
    kept.pop_back();
    label.text.clear();
    for (const auto& character : kept) label.text += character;
    label.text += "…";
  } while (!kept.empty() && estimated_width(label) > width);
  return label.text;
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const auto& character : characters(text)) {
    if (character == "&") out += "&amp;";
    else if (character == "<") out += "&lt;";
    else if (character == ">") out += "&gt;";
    else if (character == "\"") out += "&quot;";
    else if (character == "'") out += "&#39;";
    else out += character;
  }
  return out;
}

}  // namespace herd
