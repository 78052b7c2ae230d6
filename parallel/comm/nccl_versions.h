#pragma once
#include <string>
#include <string_view>

namespace herd {

/// Whether this NCCL does what the nccl backend builds on. @param version as ncclGetVersion tells it (22809 is 2.28.9).
/// @param machine as `uname -m`. @param shared several ranks are to have one GPU. @throws ConfigError with the defect and the version that
/// is without it.
void check_nccl_version(int version, std::string_view machine, bool shared = false);

/// `2.28.9`.
std::string nccl_version_text(int version);

}  // namespace herd
