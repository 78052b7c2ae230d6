#pragma once
#include "launch/launcher/doctor_options.h"
#include "launch/launcher/start.h"
#include "runtime/base/signals.h"

namespace herd {

/// Runs `herd doctor` over hosts by mpirun, two ranks on each that has room for them. @return its exit code.
int doctor_hosts(const DoctorOptions& options, const Starter& starter, const Hosts& hosts, const Signals& signals);

/// The same before a start, in its quick form. @return the hosts to start on: with `leave_out_slow` less those that were found slow.
/// @throws CommError where a host is unfit otherwise, once the findings are told.
Hosts check_hosts(const LaunchOptions& launch, const std::string& folder, const Starter& starter, const Hosts& hosts, const Signals& signals);

}  // namespace herd
