#include "launch/launcher/start.h"

#include <unistd.h>

#include <filesystem>
#include <utility>

#include "launch/launcher/output_pipe.h"
#include "parallel/comm/mpi_version.h"

namespace herd {
namespace {

std::set<std::string> names_of_environment() {
  std::set<std::string> names;
  for (auto** entry = environ; *entry; ++entry) {
    const std::string text = *entry;
    names.insert(text.substr(0, text.find('=')));
  }
  return names;
}

Mpirun find_mpirun(const std::string& program) {
  constexpr double kPatience = 20;  // s: a cold network file system
  const auto answer = capture({program, "--version"}, kPatience);
  auto mpirun = parse_mpirun_version(program, answer.said);
  check_mpirun_fits(mpirun, mpi_library_version());
  return mpirun;
}

Fabric find_fabric(const std::string& name) {
  if (name == "none") return {.name = "none", .summary = "", .link_layer = "", .environment = {}, .mca = {}};
  return choose_fabric(read_fabrics(fabrics_folder()), name, link_layers());
}

std::string own_program() { return std::filesystem::read_symlink("/proc/self/exe").string(); }

}  // namespace

Starter::Starter(StartOptions options)
    : options_(std::move(options)), mpirun_(find_mpirun(options_.mpirun)), fabric_(find_fabric(options_.fabric)), names_(names_of_environment()) {
  for (const auto& text : fabric_.environment) {
    auto [name, value] = assignment(text);
    if (names_.insert(name).second) environment_.emplace(std::move(name), std::move(value));
  }
}

std::vector<std::string> Starter::command(const Hosts& placed, const std::vector<std::string>& program) const {
  MpirunRequest request{.mpirun = mpirun_, .placed = placed, .passed = names_to_pass(names_), .mca = {}, .bind_to = options_.bind_to, .map_by = options_.map_by,
                        .more = options_.more, .as_root = geteuid() == 0, .program = {own_program()}};
  for (const auto& text : fabric_.mca) request.mca.push_back(assignment(text));
  request.program.insert(request.program.end(), program.begin(), program.end());
  return mpirun_command(request);
}

std::string Starter::shell_line(const Hosts& placed, const std::vector<std::string>& program) const {
  std::string line;
  for (const auto& [name, value] : environment_) line += name + "=" + shell_text({value}) + " ";
  return line + shell_text(command(placed, program));
}

Supervision Starter::supervision(const Hosts& placed, const std::vector<std::string>& program) const {
  return {.child = {.command = command(placed, program), .environment = environment_}, .major = mpirun_.major, .folder = {}};
}

}  // namespace herd
