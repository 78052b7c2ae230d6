#pragma once

namespace herd {

/// `herd doctor [--hosts a:8,b:8] …`: whether hosts are fit for a run; on every rank of an mpirun, or as the one that starts them.
int doctor_command(int argc, char** argv);

}  // namespace herd
