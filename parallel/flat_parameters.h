#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "parallel/comm/communicator.h"
#include "parallel/flat.h"

namespace herd {

/// The values of a model's flat rows. Its parameters become views of them. Kept whole on every rank (ZeRO-1, ZeRO-2, DDP), or in parts
/// (ZeRO-3: Rajbhandari et al. 2020, section 5.3): then a row's memory is there only while a unit that reads it runs, and the next
/// units' rows are gathered meanwhile. What autograd saved of a parameter sees the row when it is there again: it is the same storage.
class FlatParameters {
 public:
  struct Options {
    bool sharded = false;
    bool on_host = false;       ///< own parts lie in host memory, copied up when a row is gathered; only where rows are kept in parts
    std::int64_t prefetch = 1;  ///< units gathered ahead of the running one: at most so many and one more are whole together
  };
  /// Takes the model's parameters over, with their values. @param read those of parameters on the meta device. @throws IoError of it.
  FlatParameters(CausalLm& model, std::span<const Flat> flats, Communicator& shard, Options options, const ReadParameter& read = {});

  /// This rank's part of a row, in the parameters' dtype, on its device or the host; where rows are kept whole, a view of its row.
  const Tensor& own(std::size_t flat) const { return rows_[flat].own; }
  /// Brings whole rows in line with their parts, which the optimizer has changed. Nothing to do where they are kept in parts.
  void parts_changed();

  /// Units will be entered in this order; the first are gathered at once.
  void begin_walk(std::vector<Unit> walk);
  /// The unit's rows are whole when this returns. @throws CommError.
  void enter(Unit unit);
  void leave(Unit unit);

  /// Makes rows whole until free(): all, or the trainable ones. Collective.
  void gather(bool frozen_too);
  void free();

  /// Of rows and parts, as they are now.
  std::int64_t resident_bytes() const;

 private:
  struct Row {
    const Flat* flat;
    Tensor whole, own;
    Work gathering{};
    bool present = true;  // or on its way
  };
  void start(Row& row);
  void release(Row& row);
  bool soon(std::size_t row) const;

  Communicator& shard_;
  Options options_;
  std::vector<Row> rows_;
  std::vector<std::vector<std::size_t>> rows_read_;  // by unit
  std::vector<Unit> walk_;
  std::size_t next_ = 0;  // place in the walk
};

}  // namespace herd
