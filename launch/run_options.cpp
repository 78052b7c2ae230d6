#include "launch/run_options.h"

namespace herd {

void describe(Schema& s, RunOptions& o) {
  s.field("folder", o.folder, "folder that holds the runs, from the working folder").known_as({"output_dir"});
  s.field("name", o.name, "name of this run and of its folder inside run.folder; empty: the date and a letter").known_as({"run_name"});
  s.field("log_every", o.log_every, "optimizer steps between two lines where stderr is no terminal")
      .at_least(1)
      .known_as({"logging_steps"});
  s.field("tensorboard", o.tensorboard, "write TensorBoard event files");
  s.field("plot", o.plot, "draw the loss curve (PNG) at the end");
}

void RunOptions::validate() const {
  if (folder.empty()) throw InvalidSetting("folder", "empty", "a folder");
  if (name.find('/') != std::string::npos || name == "." || name == "..")
    throw InvalidSetting("name", "'" + name + "'", "a name without '/'", "run.folder says where");
}

}  // namespace herd
