#include "data/template/chat_pieces.h"

#include <algorithm>
#include <map>
#include <set>

#include "data/template/jinja/text.h"

namespace herd {
namespace {

std::vector<ChatStretch> cut_at_marks(std::string_view marked, const std::vector<ChatMark>& marks) {
  std::map<std::string_view, std::size_t> by_mark;
  for (std::size_t i = 0; i < marks.size(); ++i) by_mark.emplace(marks[i].mark, i);
  std::vector<ChatStretch> out(1);
  for (const auto character : jinja::characters(marked)) {
    const auto known = character.size() < 3 ? by_mark.end() : by_mark.find(character);
    if (known == by_mark.end()) {
      out.back().text += character;
    } else {
      out.push_back({.mark = known->second});
      out.emplace_back();
    }
  }
  return out;
}

/// How a template may write a text, the likeliest first.
std::vector<std::string> forms_of(const std::string& text) {
  const std::string_view line_end = "\n";
  auto quoted = nlohmann::json(text).dump();
  std::vector<std::string> out{text};
  for (auto form : {std::string(jinja::strip(text)), std::string(jinja::rstrip(text)), std::string(jinja::lstrip(text)), std::string(jinja::strip(text, &line_end)),
                    std::string(jinja::lstrip(text, &line_end)), std::string(jinja::rstrip(text, &line_end)), quoted.substr(1, quoted.size() - 2)})
    if (std::find(out.begin(), out.end(), form) == out.end()) out.push_back(std::move(form));
  return out;
}

class Aligner {
 public:
  Aligner(std::string_view plain, std::vector<ChatStretch> stretches, const std::vector<ChatMark>& marks)
      : plain_(plain), stretches_(std::move(stretches)), choices_(stretches_.size(), 0) {
    for (const auto& mark : marks) forms_.push_back(forms_of(mark.text));
  }

  std::optional<std::vector<ChatStretch>> run() {
    // Depth first without recursion: conversations may be long. A place that once failed is not tried again.
    std::set<std::pair<std::size_t, std::size_t>> failed;
    std::size_t i = 0, at = 0;
    std::vector<std::size_t> begins;
    for (;;) {
      const bool there = i < stretches_.size() && !failed.contains({i, at}) && next_fitting(i, at);
      if (there) {
        begins.push_back(at);
        at += form(i).size();
        ++i;
        if (i < stretches_.size()) choices_[i] = 0;
        if (i == stretches_.size() && at == plain_.size()) return found(begins);
        continue;
      }
      if (i < stretches_.size()) failed.insert({i, at});
      if (i == 0) return std::nullopt;
      --i;
      at = begins.back();
      begins.pop_back();
      ++choices_[i];
    }
  }

 private:
  const std::string& form(std::size_t i) const {
    const auto& stretch = stretches_[i];
    return stretch.mark ? forms_[*stretch.mark][choices_[i]] : stretch.text;
  }
  std::size_t forms(std::size_t i) const { return stretches_[i].mark ? forms_[*stretches_[i].mark].size() : 1; }

  bool next_fitting(std::size_t i, std::size_t at) {
    for (; choices_[i] < forms(i); ++choices_[i])
      if (plain_.substr(at).starts_with(form(i))) return true;
    return false;
  }

  std::vector<ChatStretch> found(const std::vector<std::size_t>& begins) {
    for (std::size_t i = 0; i < stretches_.size(); ++i) {
      stretches_[i].text = std::string(form(i));
      stretches_[i].begin = begins[i];
    }
    return std::move(stretches_);
  }

  std::string_view plain_;
  std::vector<ChatStretch> stretches_;
  std::vector<std::size_t> choices_;
  std::vector<std::vector<std::string>> forms_;
};

}  // namespace

std::optional<std::vector<ChatStretch>> aligned(std::string_view plain, std::string_view marked, const std::vector<ChatMark>& marks) {
  return Aligner(plain, cut_at_marks(marked, marks), marks).run();
}

}  // namespace herd
