#include "data/stats/samples.h"

#include "data/template/render.h"
#include "runtime/base/error.h"

namespace herd {
namespace {

constexpr std::size_t kMostShown = 4'000;

}  // namespace

std::vector<MarkedRun> marked_runs(const Record& record, const Template& text) {
  std::vector<MarkedRun> out;
  const auto add = [&](std::string_view words, bool learnt) {
    if (out.empty() || out.back().learnt != learnt) out.push_back({"", learnt});
    out.back().text += words;
  };
  try {
    for (const auto& piece : render(text, record)) add(piece.is_eos ? "</s>" : piece.is_bos ? "<s>" : piece.text, piece.written);
  } catch (const DataError&) {
    out.clear();
    for (const auto& turn : record.turns) {
      add(turn.input.empty() ? turn.text : turn.text + "\n" + turn.input, turn.role != Role::kUser && turn.role != Role::kTool);
      add("\n", false);
    }
  }
  return out;
}

std::vector<MarkedRun> shortened(std::vector<MarkedRun> runs) {
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    auto& text = runs[i].text;
    if (bytes + text.size() > kMostShown) {
      auto end = kMostShown - bytes;
      while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
      text = text.substr(0, end) + " …";
      runs.resize(i + 1);
      return runs;
    }
    bytes += text.size();
  }
  return runs;
}

}  // namespace herd
