#pragma once
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "parallel/flat.h"
#include "parallel/mesh.h"
#include "parallel/strategy.h"

namespace herd {

/// The gradients of a model's trainable flat rows, summed over micro-batches and ranks in fp32 (fp64 where parameters are). Either every rank
/// keeps whole rows and they travel with the last micro-batch (DDP, ZeRO-1), or it keeps its part of each and a row is reduced as soon
/// as a backward has filled it (ZeRO-2 and 3: Rajbhandari et al. 2020, section 5.2).
class FlatGradients {
 public:
  struct Options {
    bool whole = true;
    at::ScalarType travels_as = at::kFloat;  ///< dtype of what ranks send; sums are accumulated in fp32 all the same
    bool overlap = true;                     ///< false: each row is waited for where it is sent
  };
  FlatGradients(std::span<const Flat> flats, const Mesh& mesh, Options options);

  void begin_step();
  /// Takes the unit's gradients of a micro-batch from its parameters, and sends what is complete on its way. Units come in order.
  /// @param last no further micro-batch follows in this step.
  void collect(Unit unit, bool last);
  /// Own parts hold the sum over all ranks when this returns. @throws CommError.
  void finish();

  /// This rank's part of a row's gradient; undefined for a frozen row.
  const Tensor& own(std::size_t flat) const { return rows_[flat].own; }
  /// Of rows and parts, and of what is on its way.
  std::int64_t resident_bytes() const;
  /// What was not finite in this rank's own gradients of this step.
  const std::optional<Fault>& fault() const { return fault_; }
  /// A loss that is not finite comes before the gradients that follow from it.
  void blame(std::string where) { fault_ = Fault{std::move(where)}; }

 private:
  struct Row {
    const Flat* flat;
    Tensor whole, own;
    bool fresh = true;  // whole holds nothing of this micro-batch (of this step, where rows are kept)
    bool sent = false;  // of this step; own holds something once it has arrived
  };
  struct Journey {
    Row* row;
    Work work;
    Tensor sent, received;
    bool first, last;  // of the step's for this row
  };

  void take(Row& row, Unit unit);
  void look_for_fault(const Row& row);
  bool travels_as_it_is(const Row& row) const;
  void send(Row& row, bool last);
  void arrive(Journey& journey);
  void replicate(Row& row);

  const Mesh& mesh_;
  Options options_;
  std::vector<Row> rows_;
  std::deque<Journey> reducing_, replicating_;
  std::optional<Fault> fault_;
};

}  // namespace herd
