#include "parallel/comm/nccl_versions.h"

#include <fmt/format.h>

#include "runtime/base/error.h"

namespace herd {
namespace {

constexpr int version(int major, int minor, int patch) { return major * 10000 + minor * 100 + patch; }

// A defect, and the first version without it. Those alone that herd's own calls can meet: it never calls NCCL's reductions, so that
// their wrong results (the all-reduces of before 2.27.5, the averages of one rank of before 2.29.7) do not matter to it.
struct Defect {
  int fixed_in;
  std::string_view machine;  ///< empty: any
  std::string_view what;
};
constexpr Defect kDefects[] = {
    {version(2, 18, 1), "", "has no ncclCommSplit"},
    {version(2, 19, 1), "", "hangs in ncclCommAbort where another thread calls it (github.com/NVIDIA/nccl/issues/992)"},
    {version(2, 24, 3), "", "hangs where a network request fails later than its call (github.com/aws/aws-ofi-nccl/pull/683)"},
    {version(2, 26, 2), "", "hangs in ncclCommAbort (github.com/pytorch/pytorch/pull/149351)"},
    {version(2, 29, 3), "aarch64",
     "loses slots of its proxy on ARM and then hangs without an error (NCCL 2.29.3 release notes, \"CAS usage\")"},
};

}  // namespace

std::string nccl_version_text(int version) { return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100); }

void check_nccl_version(int found, std::string_view machine, bool shared) {
  constexpr int kShares = version(2, 30, 3);
  if (shared && found < kShares)
    throw ConfigError({.who = "NCCL " + nccl_version_text(found), .found = "NCCL_MULTI_RANK_GPU_ENABLE=1 and a version that cannot share a GPU between ranks",
                       .expected = nccl_version_text(kShares) + " or newer", .remedy = "unset it and start as many ranks a host as it has GPUs"});
  const Defect* worst = nullptr;
  int needed = 0;
  for (const auto& defect : kDefects) {
    if (found >= defect.fixed_in || (!defect.machine.empty() && defect.machine != machine)) continue;
    if (!worst) worst = &defect;
    needed = std::max(needed, defect.fixed_in);
  }
  if (!worst) return;
  throw ConfigError({.who = "NCCL " + nccl_version_text(found), .found = "a version that " + std::string(worst->what),
                     .expected = nccl_version_text(needed) + " or newer",
                     .remedy = "scripts/setup --cuda installs one that fits; LD_LIBRARY_PATH may put an older one before it"});
}

}  // namespace herd
