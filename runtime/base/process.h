#pragma once
#include <cstdint>
#include <optional>
#include <string>

namespace herd {

/// Bytes of main memory that this process holds now, and the most it ever held (VmRSS and VmHWM of /proc/self/status; 0 where there is none).
struct ProcessMemory {
  std::uint64_t resident = 0;
  std::uint64_t peak = 0;
};
ProcessMemory process_memory();

/// The host's name, "localhost" where the system gives none.
std::string host_name();

/// The batch system's name for this job (SLURM_JOB_ID, or `12_3` for an array's element; PBS_JOBID, LSB_JOBID), "" outside of one.
std::string job_id();

/// Seconds since 1970, wall clock.
double unix_time_s();
/// `2026-11-21T01:18:05.123456789Z`: sorts as text in order of time.
std::string utc_now();

/// Columns of the terminal that stderr ends in, empty where it ends elsewhere. mpirun hands its ranks a pipe for stderr and copies
/// what comes out of it: so where the parent is a launcher, the parent's stderr counts. TERM=dumb is no terminal.
std::optional<int> terminal_columns();

}  // namespace herd
