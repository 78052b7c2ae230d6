#include "launch/run_saver.h"

#include <chrono>

#include "launch/consolidate.h"
#include "parallel/comm/agree.h"
#include "peft/step_rule.h"
#include "train/resume.h"

namespace herd {

RunSaver::RunSaver(Work work, const std::optional<Checkpoint>& resumed)
    : w_(work), identity_(fingerprints(w_.parts, w_.run.config)), last_(resumed ? resumed->folder : std::filesystem::path()) {}

template <class F>
void RunSaver::blocked(bool complete, F f) {
  const auto began = std::chrono::steady_clock::now();
  f();
  blocked_s_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  w_.journal.saved(step_, blocked_s_, complete);
}

void RunSaver::save(const TrainState& state, bool is_best) {
  const DeadlineScope saving(w_.communicator, w_.run.config.parallel.save_timeout_s);
  w_.communicator.note("saving step " + std::to_string(state.step));
  const bool best = is_best && w_.run.config.checkpoint.save_best;
  step_ = state.step;
  blocked_s_ = 0;
  // A model in parts is made of its checkpoint, which must be there then.
  const bool complete = !w_.run.config.checkpoint.async || (best && streams_result(w_.run.config));
  blocked(complete, [&] {
    last_ = w_.store.save(state.step,
                          {.slices = checkpoint_slices(w_.optimizer, w_.rule),
                           .state = to_json(state),
                           .fingerprints = identity_,
                           .config = to_yaml(w_.run.tree, true),
                           .held_out_loss = state.held_out_loss},
                          best);
    if (best) write(w_.folder.best());
  });
}

void RunSaver::finish() {
  const DeadlineScope saving(w_.communicator, w_.run.config.parallel.save_timeout_s);
  if (w_.run.config.checkpoint.async && step_ >= 0) blocked(true, [&] { w_.store.finish(); });
}

void RunSaver::write(const std::filesystem::path& place) {
  const DeadlineScope writing(w_.communicator, w_.run.config.parallel.save_timeout_s);
  w_.communicator.note("writing " + place.filename().string());
  const auto& config = w_.run.config;
  const bool first_rank = w_.communicator.rank() == 0, adapter = makes_adapter(w_.parts);
  // A model in parts is made of its checkpoint: no rank has to hold it whole.
  if (streams_result(config) && !last_.empty()) {
    w_.store.finish();
    return agree(w_.communicator, [&] {
      if (first_rank) write_result(w_.parts, config, place, "", values_in(last_, w_.parts.base.read));
    });
  }
  std::exception_ptr error;
  w_.strategy.with_whole_parameters(!adapter, [&] {
    try {
      if (first_rank) write_result(w_.parts, config, place, w_.rule ? w_.rule->state() : "");
    } catch (...) {
      error = std::current_exception();
    }
  });
  agree_on(w_.communicator, error);
}

}  // namespace herd
