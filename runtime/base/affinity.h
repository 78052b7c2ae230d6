#pragma once

namespace herd {

/// Number of CPUs on which this thread may run.
int usable_cpus();

/// Sees to it that this process may use `threads` CPUs. mpirun binds each rank of a job of 1 or 2 to one core, on which more threads
/// would only take turns: such a binding is widened to all CPUs that the system grants, for every thread of the process, with a line in
/// the log. A binding by taskset or SLURM is left alone. A machine with fewer CPUs is no binding: there it does nothing.
/// @throws ConfigError with the remedy where a binding to fewer CPUs stays.
void ensure_cpus(int threads);

}  // namespace herd
