#include "infer/instruct/cull.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>

#include "data/format/text_output.h"
#include "data/readers/reader.h"
#include "data/readers/write.h"
#include "runtime/base/error.h"
#include "runtime/base/parallel_for.h"

namespace herd {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

/// What is kept of a record to decide by.
struct Sketch {
  std::string question;
  std::size_t answered = 0;  // bytes of answers
  Source source;
  WrittenAs as = WrittenAs::kInstructions;
  std::optional<Rejection> rejection;
  std::optional<std::size_t> like;  // the record that stayed in its place
  double score = 0;
};

Sketch sketch_of(const Record& record, const LengthBounds& bounds) {
  Sketch sketch{.source = record.source, .as = written_as({&record, 1}), .rejection = screen(record, bounds)};
  for (const auto& turn : record.turns) {
    if (turn.role == Role::kUser && sketch.question.empty()) sketch.question = turn.text + (turn.input.empty() ? "" : "\n" + turn.input);
    if (turn.role == Role::kAssistant) sketch.answered += turn.text.size();
  }
  return sketch;
}

/// @return records that could not be read.
std::int64_t for_each_block(const CullRequest& request, const std::function<void(std::vector<Record>&)>& take) {
  constexpr std::int64_t kBlock = 4096;
  RecordReader reader(request.files, {.format = {}, .broken = Broken::kSkip, .columns = {}});
  for (auto block = reader.next(kBlock, request.threads); !block.empty(); block = reader.next(kBlock, request.threads)) take(block);
  return reader.report().broken;
}

std::vector<Sketch> read_sketches(const CullRequest& request, std::int64_t& broken) {
  std::vector<Sketch> out;
  broken = for_each_block(request, [&](std::vector<Record>& block) {
    const auto begin = out.size();
    out.resize(begin + block.size());
    parallel_for(std::ssize(block), request.threads, [&](std::int64_t i) {
      out[begin + static_cast<std::size_t>(i)] = sketch_of(block[static_cast<std::size_t>(i)], request.bounds);
    });
  });
  return out;
}

/// Marks those that ask nearly what one before them in the order of preference asks.
void find_near(std::vector<Sketch>& sketches, const CullRequest& request) {
  std::vector<std::size_t> order(sketches.size()), stayed;
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (request.keep == CullRequest::Keep::kLongest)
    std::ranges::stable_sort(order, std::greater<>(), [&](std::size_t i) { return sketches[i].answered; });
  NearInstructions near(request.near);
  for (const auto i : order) {
    auto& sketch = sketches[i];
    if (sketch.rejection) continue;
    if (const auto like = near.earlier(sketch.question)) {
      sketch.rejection = Rejection::kNearDuplicate;
      sketch.like = stayed[like->number];
      sketch.score = like->score;
    } else {
      stayed.push_back(i);
    }
  }
}

std::string dropped_line(const Record& record, WrittenAs as, const Sketch& sketch, const std::vector<Sketch>& all,
                         const CullRequest& request) {
  auto json = Json::parse(record_line(record, as));
  auto& why = json["dropped"] = {{"reason", name(*sketch.rejection)}, {"from", describe(record.source, request.files)}};
  if (sketch.like) why["like"] = describe(all[*sketch.like].source, request.files);
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// Writes those that went, or those that stayed.
void write_part(const fs::path& output, bool gone, const std::vector<Sketch>& sketches, const CullRequest& request) {
  const auto apart = [&](const Sketch& sketch) { return sketch.rejection.has_value() == gone && sketch.as == WrittenAs::kMessages; };
  const auto as = std::ranges::any_of(sketches, apart) ? WrittenAs::kMessages : WrittenAs::kInstructions;  // one form for a file
  const std::vector<fs::path> inputs(request.files.begin(), request.files.end());
  write_text(output, inputs, [&](TextOutput& out) {
    std::size_t at = 0;
    for_each_block(request, [&](std::vector<Record>& block) {
      for (const auto& record : block) {
        const auto& sketch = sketches.at(at++);
        if (sketch.rejection.has_value() != gone) continue;
        out.line(gone ? dropped_line(record, as, sketch, sketches, request) : record_line(record, as));
      }
    });
  });
}

CullReport report_of(const std::vector<Sketch>& sketches, std::int64_t broken, const CullRequest& request) {
  CullReport report{.files = request.files, .read = std::ssize(sketches) + broken};
  if (broken > 0) report.dropped[Rejection::kMalformed] = broken;
  for (const auto& sketch : sketches) {
    if (!sketch.rejection) ++report.kept;
    else ++report.dropped[*sketch.rejection];
    if (!sketch.like || report.pairs.size() >= request.examples) continue;
    const auto& stayed = sketches[*sketch.like];
    report.pairs.push_back({sketch.source, stayed.source, sketch.score, sketch.question, stayed.question});
  }
  return report;
}

}  // namespace

CullReport cull(const CullRequest& request) {
  NearInstructions{request.near};  // its bound is judged before anything is read
  if (!request.dropped.empty() && fs::absolute(request.dropped).lexically_normal() == fs::absolute(request.output).lexically_normal())
    throw ConfigError({.who = "--dropped", .found = request.dropped.string(), .expected = "another file than --output", .remedy = ""});
  std::int64_t broken = 0;
  auto sketches = read_sketches(request, broken);
  find_near(sketches, request);
  write_part(request.output, false, sketches, request);
  if (!request.dropped.empty()) write_part(request.dropped, true, sketches, request);
  return report_of(sketches, broken, request);
}

}  // namespace herd
