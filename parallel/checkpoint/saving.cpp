#include "parallel/checkpoint/saving.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "runtime/base/file.h"
#include "runtime/base/log.h"
#include "runtime/base/process.h"
#include "runtime/base/thread.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

std::string done_name(int rank) { return fmt::format("rank-{:04}.done", rank); }

}  // namespace

Saving::Saving(SaveOrder order) : order_(std::move(order)), thread_(background_thread("herd-saving", [this] { run(); })) {}

void Saving::give_up() {
  given_up_ = true;
  if (thread_.joinable()) thread_.join();
}

void Saving::run() {
  auto* stage = &written_;
  try {
    write();
    written_.set_value();
    stage = &committed_;
    if (order_.rank == 0) commit();
    committed_.set_value();
  } catch (...) {
    failed_ = true;
    stage->set_exception(std::current_exception());
    if (stage == &written_) committed_.set_exception(std::current_exception());
  }
}

void Saving::done(std::string_view step) const {
  if (order_.on_step) order_.on_step(step);
}

void Saving::need_wanted() const {
  if (given_up_) throw IoError({.who = order_.temporary().string(), .found = "given up", .expected = "", .remedy = ""});
}

void Saving::write() {
  const auto folder = order_.temporary();
  const auto part = write_rank_file(folder, order_.rank, order_.manifest.step, order_.slices, [this] {
    need_wanted();
    done("slice written");
  });
  done("rank file written");
  write_file_atomically(folder / done_name(order_.rank), pack_part(part));
  done("rank file done");
}

void Saving::wait_for_parts() const {
  using namespace std::chrono;
  const auto end = steady_clock::now() + duration<double>(order_.deadline_s);
  auto pause = 1ms;
  for (int rank = 0; rank < order_.manifest.ranks;) {
    const auto file = order_.temporary() / done_name(rank);
    if (fs::exists(file)) {
      ++rank;
      continue;
    }
    need_wanted();
    if (steady_clock::now() > end)
      throw IoError({.who = file.string(),
                     .found = fmt::format("nothing {:g} s after rank 0 had written its part", order_.deadline_s),
                     .expected = fmt::format("the mark that rank {} has written its part", rank),
                     .remedy = "is that rank's disk much slower, or the run's folder not on a file system that all ranks share?"});
    std::this_thread::sleep_for(pause);
    pause = std::min(2 * pause, 50ms);
  }
}

void Saving::commit() {
  const auto& folder = order_.folder;
  const auto temporary = order_.temporary();
  auto manifest = order_.manifest;
  wait_for_parts();
  manifest.time = utc_now();
  for (int rank = 0; rank < manifest.ranks; ++rank) {
    auto part = unpack_part(read_file(temporary / done_name(rank)));
    for (auto& [tensor, slice] : part.slices) {
      slice.file = manifest.files.size();
      manifest.tensors.at(tensor).slices.push_back(slice);
    }
    manifest.files.push_back(part.file);
  }
  for (auto& tensor : manifest.tensors)
    std::sort(tensor.slices.begin(), tensor.slices.end(), [](const auto& a, const auto& b) { return a.begin < b.begin; });
  write_file_atomically(temporary / kManifestName, to_json(manifest));
  done("manifest written");
  check_sizes(temporary, read_manifest(temporary));
  for (int rank = 0; rank < manifest.ranks; ++rank) fs::remove(temporary / done_name(rank));
  sync_folder(temporary);
  folder.need_incarnation(manifest.incarnation);
  done("verified");
  need_wanted();
  folder.publish(temporary, manifest.step);
  done("published");
  folder.point_latest(manifest.step);
  done("latest moved");
  if (order_.best) folder.point_best(manifest.step);
  done("best moved");
  try {
    folder.prune(order_.keep);
  } catch (const IoError& error) {
    log_warning("step {} is saved, but an older checkpoint could not be removed: {}", manifest.step, error.what());
  }
  done("pruned");
}

void Saving::remove_temporary() {
  give_up();
  std::error_code ignored;
  fs::remove_all(order_.temporary(), ignored);
}

}  // namespace herd
