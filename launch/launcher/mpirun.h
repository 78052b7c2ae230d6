#pragma once
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "launch/launcher/fabric.h"
#include "launch/launcher/hosts.h"

namespace herd {

/// A launcher of Open MPI: what herd starts its ranks with.
struct Mpirun {
  std::string program = "mpirun";
  int major = 4;        ///< 4: ORTE; 5: PRRTE, whose options differ
  std::string version;  ///< `4.1.4`
};

/// @param said what `program --version` printed.
/// @throws ConfigError for MPICH's, Intel's and others' mpirun, under which ranks of Open MPI would each come up alone; and for Open MPI older than 4.
Mpirun parse_mpirun_version(const std::string& program, std::string_view said);
/// @param library what MPI_Get_library_version says in this process. @throws ConfigError where mpirun is of another major version of Open MPI.
void check_mpirun_fits(const Mpirun& mpirun, std::string_view library);

/// How ranks are started.
struct MpirunRequest {
  Mpirun mpirun;
  Hosts placed;                          ///< ranks of each host
  std::vector<std::string> passed;       ///< names of variables that go to every rank
  std::vector<std::pair<std::string, std::string>> mca;
  std::string bind_to = "none", map_by = "slot";
  std::vector<std::string> more;         ///< options of the user's own
  bool as_root = false;
  std::vector<std::string> program;      ///< and its arguments
};

/// The command line. The keepalive options end mpirun some seconds after a host is lost (docs/failures.md).
std::vector<std::string> mpirun_command(const MpirunRequest& request);

/// Names among `environment` that concern herd's ranks on every host: threads, libraries, HERD_*, HF_*, NCCL_*, and what else MPI and CUDA are told so.
/// Their values are never on a command line, where all users of a host could read a token.
std::vector<std::string> names_to_pass(const std::set<std::string>& environment);

/// As a shell reads it back.
std::string shell_text(const std::vector<std::string>& words);

/// A line that mpirun passed on.
struct RankLine {
  int rank = -1;              ///< -1: mpirun's own
  bool to_stdout = false;
  std::string_view text;
};
/// @param line with mpirun's tag: `[1,0]<stderr>:text`; Open MPI 5 puts a blank before the text.
RankLine parse_rank_line(std::string_view line, int major);
/// The host of which mpirun, or ssh, says in this line that it is lost or cannot be reached; empty where it says nothing so.
std::string lost_host_told(std::string_view line);

}  // namespace herd
