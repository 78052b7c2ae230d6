#include "parallel/checkpoint/store.h"

#include <fmt/format.h>

#include <chrono>
#include <set>
#include <thread>

#include "parallel/comm/agree.h"
#include "runtime/base/file.h"
#include "runtime/base/text.h"
#include "runtime/tensor/dtype.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

void check_slice(const NamedSlice& slice) {
  const StoredTensor tensor{slice.state, slice.name, slice.shape, "", {}};
  const auto count = slice.end - slice.begin;
  if (slice.begin < 0 || count < 0 || slice.end > tensor.elements() || !slice.value.defined() || slice.value.numel() != count ||
      !slice.value.is_contiguous())
    throw ShapeError({.who = tensor.title(),
                      .found = fmt::format("[{}, {}) of {} elements in a tensor of {}", slice.begin, slice.end, tensor.elements(),
                                           slice.value.defined() ? slice.value.numel() : 0),
                      .expected = "a range of it, and a contiguous tensor that holds it",
                      .remedy = ""});
}

std::vector<Piece> pieces_of(std::span<const NamedSlice> slices) {
  std::vector<Piece> pieces;
  for (const auto& s : slices) {
    check_slice(s);
    pieces.push_back({s.state, s.name, s.shape, std::string(dtype_name(s.value.scalar_type())),
                      static_cast<std::uint64_t>(s.value.element_size()), s.begin, s.end});
  }
  return pieces;
}

/// Network file systems show another host's file some seconds late.
void wait_until_seen(const CheckpointFolder& folder, std::int64_t incarnation, const Communicator& communicator) {
  constexpr auto kPatience = std::chrono::seconds(5);
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (folder.incarnation() < incarnation) {
    if (std::chrono::steady_clock::now() > end)
      throw IoError({.who = folder.root().string(),
                     .found = fmt::format("nothing of it on rank {}", communicator.rank()),
                     .expected = "the folder that rank 0 has just written to",
                     .remedy = "put run.folder on a file system that all ranks share"});
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

/// Each wanted slice against the checkpoint's tensors. @return for each of them '1' where this rank wants of it.
std::string match(const Manifest& manifest, std::span<const NamedSlice> into) {
  std::map<std::pair<std::string, std::string>, std::size_t> index;
  for (std::size_t i = 0; i < manifest.tensors.size(); ++i) index[{manifest.tensors[i].state, manifest.tensors[i].name}] = i;
  std::string used(manifest.tensors.size(), '0');
  std::vector<std::string> missing;
  for (const auto& wanted : into) {
    check_slice(wanted);
    const auto at = index.find({wanted.state, wanted.name});
    if (at == index.end()) {
      missing.push_back(wanted.state + " of " + wanted.name);
      continue;
    }
    const auto& stored = manifest.tensors[at->second];
    const auto dtype = dtype_name(wanted.value.scalar_type());
    if (stored.shape != wanted.shape || stored.dtype != dtype)
      throw ShapeError({.who = "checkpoint's " + stored.title(),
                        .found = stored.dtype + " " + shape_text(stored.shape),
                        .expected = std::string(dtype) + " " + shape_text(wanted.shape) + " in this run",
                        .remedy = "resume with the settings that it was saved with"});
    used[at->second] = '1';
  }
  if (!missing.empty())
    throw ShapeError({.who = "checkpoint",
                      .found = fmt::format("{} tensors of this run missing: {}", missing.size(),
                                           join(std::span(missing).first(std::min<std::size_t>(missing.size(), 8)))),
                      .expected = "all that the run trains",
                      .remedy = "resume with the settings that it was saved with"});
  return used;
}

void need_all_used(const Manifest& manifest, const std::vector<std::string>& used_by_rank) {
  std::vector<std::string> left;
  for (std::size_t i = 0; i < manifest.tensors.size(); ++i)
    if (std::none_of(used_by_rank.begin(), used_by_rank.end(), [i](const auto& used) { return used[i] == '1'; }))
      left.push_back(manifest.tensors[i].title());
  if (left.empty()) return;
  throw ShapeError({.who = "checkpoint",
                    .found = fmt::format("{} tensors that this run does not train: {}", left.size(),
                                         join(std::span(left).first(std::min<std::size_t>(left.size(), 8)))),
                    .expected = "none",
                    .remedy = "resume with the settings that it was saved with"});
}

}  // namespace

CheckpointStore::CheckpointStore(fs::path folder, Communicator& communicator, CheckpointStoreOptions options)
    : folder_(std::move(folder)), communicator_(communicator), options_(std::move(options)) {
  const auto number = agree(communicator_, [&] {
    if (communicator_.rank() != 0) return std::string();
    const auto own = folder_.new_incarnation();
    folder_.tidy(own);
    return std::to_string(own);
  });
  incarnation_ = std::stoll(broadcast_string(communicator_, number));
  agree(communicator_, [&] { wait_until_seen(folder_, incarnation_, communicator_); });
}

void CheckpointStore::done(std::string_view step) const {
  if (options_.on_step) options_.on_step(step);
}

fs::path CheckpointStore::save(std::int64_t step, const CheckpointContent& content, bool best) {
  finish();
  auto own = agree(communicator_, [&] { return pieces_of(content.slices); });
  const auto& plan = this->plan(std::move(own));
  SaveOrder order{.folder = folder_,
                  .manifest = {.herd = HERD_VERSION,
                               .step = step,
                               .time = {},
                               .ranks = communicator_.size(),
                               .incarnation = incarnation_,
                               .held_out_loss = content.held_out_loss,
                               .fingerprints = content.fingerprints,
                               .config = content.config,
                               .state = content.state,
                               .files = {},
                               .tensors = plan.tensors},
                  .slices = {},
                  .rank = communicator_.rank(),
                  .best = best,
                  .keep = options_.keep,
                  .deadline_s = options_.deadline_s,
                  .on_step = options_.on_step};
  agree(communicator_, [&] {
    folder_.need_incarnation(incarnation_);
    if (communicator_.rank() == 0) {
      std::error_code nothing_there;
      fs::remove_all(order.temporary(), nothing_there);  // of a save that failed
      make_folder(order.temporary());
      done("folder made");
    }
    order.slices = mine(plan, content.slices);
  });
  done("slices taken");
  saving_ = std::make_unique<Saving>(std::move(order));
  if (!options_.async) finish();
  return folder_.step(step);
}

// The same decision on every rank: data parallel ranks hold the same, and then only its fingerprint travels; nor is a plan made twice.
const SavePlan& CheckpointStore::plan(std::vector<Piece> own) {
  if (print_.empty() || own != pieces_) {
    print_ = fingerprint(pack_pieces(own));
    pieces_ = std::move(own);
  }
  auto prints = all_gather_string(communicator_, print_);
  if (prints == prints_) return plan_;
  prints_.clear();
  snapshot_.clear();
  std::vector held(prints.size(), pieces_);
  if (std::set(prints.begin(), prints.end()).size() > 1) {
    const auto texts = all_gather_string(communicator_, pack_pieces(pieces_));
    std::transform(texts.begin(), texts.end(), held.begin(), unpack_pieces);
  }
  plan_ = agree(communicator_, [&] { return plan_save(held, options_.slice_bytes); });
  prints_ = std::move(prints);
  return plan_;
}

// The slices that this rank writes; where the training goes on meanwhile, a copy of them.
std::vector<RankFileSlice> CheckpointStore::mine(const SavePlan& plan, std::span<const NamedSlice> slices) {
  at::NoGradGuard no_grad;
  std::vector<RankFileSlice> mine;
  for (const auto& a : plan.assignments) {
    if (a.writer != communicator_.rank()) continue;
    auto slice = slices[a.piece];
    slice.value = slice.value.view(-1).narrow(0, a.begin - slice.begin, a.end - a.begin);
    slice.begin = a.begin, slice.end = a.end;
    mine.push_back({a.tensor, std::move(slice)});
    if (!options_.async) continue;
    auto& value = mine.back().slice.value;
    if (snapshot_.size() < mine.size()) snapshot_.push_back(at::empty(value.sizes(), value.options().device(at::kCPU)));
    auto& copy = snapshot_[mine.size() - 1];
    copy.copy_(value);
    value = copy;
  }
  return mine;
}

void CheckpointStore::finish() {
  const auto saving = std::exchange(saving_, nullptr);
  if (!saving) return;
  try {
    agree(communicator_, [&] { saving->wait_written(); });
    agree(communicator_, [&] { saving->wait_committed(); });
  } catch (const CommError&) {
    throw;  // some rank may be writing still: the folder is left to the next process
  } catch (const Error&) {
    if (communicator_.rank() == 0) saving->remove_temporary();
    throw;
  }
}

std::optional<Checkpoint> CheckpointStore::find(const std::string& resume) {
  const int rank = communicator_.rank();
  const auto folder = broadcast_string(communicator_, agree(communicator_, [&] {
                                         if (rank != 0) return std::string();
                                         if (resume != "auto") return resolve_checkpoint(resume).string();
                                         const auto latest = folder_.latest();
                                         return latest ? folder_.step(*latest).string() : std::string();
                                       }));
  if (folder.empty()) return std::nullopt;
  const fs::path path = folder;
  try {
    const auto text = broadcast_string(communicator_, agree(communicator_, [&] {
                                         if (rank != 0) return std::string();
                                         check_sizes(path, read_manifest(path));
                                         return read_file(path / kManifestName);
                                       }));
    return agree(communicator_, [&] { return Checkpoint{path, parse_manifest(text, path / kManifestName)}; });
  } catch (const IoError& error) {
    rethrow_with_older(error, path);
  }
}

void CheckpointStore::check(const Checkpoint& checkpoint, const Fingerprints& run) {
  agree(communicator_, [&] { compare_fingerprints(checkpoint.manifest.fingerprints, run, checkpoint.folder); });
}

void CheckpointStore::read(const Checkpoint& checkpoint, std::span<const NamedSlice> into) {
  const auto used = agree(communicator_, [&] { return match(checkpoint.manifest, into); });
  const auto used_by_rank = all_gather_string(communicator_, used);
  need_all_used(checkpoint.manifest, used_by_rank);
  try {
    agree(communicator_, [&] { read_slices(checkpoint.folder, checkpoint.manifest, into); });
  } catch (const IoError& error) {
    rethrow_with_older(error, checkpoint.folder);
  }
}

void CheckpointStore::rethrow_with_older(const IoError& error, const fs::path& broken) {
  // Reading all bytes of large ones would outlast the other ranks' patience.
  constexpr std::uint64_t kVerifyBytes = std::uint64_t{1} << 30;
  std::vector<std::string> good;
  if (communicator_.rank() == 0) {
    const CheckpointFolder folder(broken.parent_path());
    const auto steps = folder.steps();
    for (auto step = steps.rbegin(); step != steps.rend() && good.size() < 3; ++step) {
      const auto path = folder.step(*step);
      std::error_code ignored;
      if (fs::equivalent(path, broken, ignored)) continue;
      try {
        const auto manifest = read_manifest(path);
        check_sizes(path, manifest);
        if (manifest.bytes() <= kVerifyBytes) verify_files(path, manifest);
        good.push_back(path.string());
      } catch (const IoError&) {
        continue;
      }
    }
  }
  auto complaint = error.complaint();
  const auto list = broadcast_string(communicator_, join(good));
  complaint.remedy += list.empty() ? "; there is no other good checkpoint" : "\n       good ones: " + list + " (checkpoint.resume=FOLDER)";
  throw IoError(std::move(complaint));
}

void verify_checkpoint(const fs::path& checkpoint) { verify_files(checkpoint, read_manifest(checkpoint)); }

}  // namespace herd
