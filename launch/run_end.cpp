#include "launch/run_end.h"

#include <algorithm>

#include "parallel/comm/flight_compare.h"
#include "runtime/base/error.h"

namespace herd {

RunEnd run_end(const RunFolder& folder) {
  RunEnd end{.cause = first_cause(folder)};
  if (end.cause) end.orderly = false;
  if (end.cause || !std::filesystem::exists(folder.flight())) return end;
  try {
    const auto flights = read_flights(folder.flight());
    end.orderly = std::all_of(flights.begin(), flights.end(), [](const auto& f) { return f.activity == kEnded; });
    if (!end.orderly) end.findings = compare_flights(flights);
  } catch (const IoError& error) {
    end.orderly = false;
    end.findings = {error.what()};
  }
  return end;
}

void refuse_used(const RunFolder& folder, const std::string& resume) {
  if (resume != "none") return;
  for (const auto& path : {folder.checkpoints() / "latest", folder.adapter(), folder.model()}) {
    if (!std::filesystem::exists(path)) continue;
    throw IoError({.who = "run folder " + folder.root().string(),
                   .found = "what an earlier run left there (" + path.filename().string() + ")",
                   .expected = "a new run's folder",
                   .remedy = "resume=auto goes on with that run; another run.name begins a new one"});
  }
}

}  // namespace herd
