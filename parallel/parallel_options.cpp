#include "parallel/parallel_options.h"

#include "parallel/comm/backends.h"
#include "parallel/strategy.h"

namespace herd {
namespace {

template <class Entry>
std::string summaries(const Table<Entry>& table) {
  std::string text;
  for (const auto& [name, entry] : table) text += (text.empty() ? "" : "; ") + name + ": " + entry.summary;
  return text;
}

}  // namespace

std::string device_of_backend(const std::string& backend) {
  const auto* entry = backends().find(backend);
  return entry ? entry->device : "";
}

void describe(Schema& s, ParallelOptions& o) {
  s.field("strategy", o.strategy, summaries(strategies())).one_of(strategies().names());
  s.field("bucket_bytes", o.bucket_bytes, "bytes of gradients that travel together, while the backward pass goes on; zero3 and hsdp: each block's").at_least(1024);
  s.field("overlap", o.overlap, "communicate while computing; false waits for each operation where it starts: slower, the same numbers");
  s.field("prefetch", o.prefetch, "zero3, hsdp: blocks gathered ahead of the running one; each costs its size in memory").at_least(0)
      .known_as({"forward_prefetch", "backward_prefetch"});
  s.field("reduce_each_micro_batch", o.reduce_each_micro_batch,
          "zero2, zero3, hsdp: reduce gradients with every micro-batch; false: keep them whole until the step's last one, which sends less and "
          "needs the memory of zero1");
  s.choice("reduce_dtype", o.reduce_dtype, {{"fp32", ReduceDtype::kFp32}, {"bf16", ReduceDtype::kBf16}},
           "what gradients are while they travel; sums are accumulated in fp32 all the same");
  s.field("shard_degree", o.shard_degree, "hsdp: ranks that share a copy of model and optimizer; 0: those of a node").at_least(0)
      .known_as({"data_parallel_shard_degree", "hybrid_shard_degree"});
  s.choice("offload", o.offload,
           {{"none", Offload::kNone}, {"optimizer", Offload::kOptimizer}, {"parameters", Offload::kParameters}},
           "what is kept in host memory instead of the GPU's. optimizer: its states and fp32 masters, updated by the CPU; parameters (zero3, hsdp): "
           "besides, this rank's part of the model, frozen or not, copied up when a block is gathered")
      .known_as({"offload_optimizer", "offload_param", "cpu_offload"});
  auto names = backends().names();
  names.insert(names.begin(), "auto");
  s.field("backend", o.backend, "how ranks talk; auto: nccl with model.device=cuda, mpi under mpirun or srun, else self; " + summaries(backends())).one_of(names);
  s.field("check", o.check, "compare operation, shape and dtype over all ranks before any data moves; always on in debug builds");
  s.field("timeout_s", o.timeout_s, "seconds that a collective waits for the last rank before the run ends with its name")
      .above(0)
      .known_as({"deadline_s", "timeout"});
  s.field("load_timeout_s", o.load_timeout_s, "the same before the first step, while ranks load model, data and checkpoint").above(0);
  s.field("save_timeout_s", o.save_timeout_s, "the same while a checkpoint or the result is written; a save in the background waits half as long for "
          "the last rank's file")
      .above(0);
}

void describe(Schema& s, CheckpointOptions& o) {
  s.field("every", o.every, "how often the run is saved; the end of the run is saved in any case")
      .known_as({"save_steps", "save_strategy"});
  s.field("keep", o.keep, "newest checkpoints kept, besides the best").at_least(1).known_as({"save_total_limit"});
  s.field("resume", o.resume, "none: a new run; auto: from the run folder's latest checkpoint, if any; else a checkpoint's folder")
      .known_as({"resume_from_checkpoint"});
  s.field("save_best", o.save_best, "keep the checkpoint with the lowest held-out loss").known_as({"load_best_model_at_end"});
  s.field("async", o.async, "write checkpoints beside the training, from a copy in memory of what each rank writes (with fp32 masters 12 bytes a "
          "trained parameter, divided by the ranks); the next save waits for it")
      .known_as({"async_save", "async_mode"});
}

}  // namespace herd
