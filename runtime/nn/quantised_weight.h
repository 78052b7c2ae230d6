#pragma once
#include <functional>
#include <memory>
#include <string>

#include "runtime/nn/kernels.h"
#include "runtime/nn/linear.h"

namespace herd {

/// Elements of a dense matrix, row by row, from `begin` on, into `out` (1-d, fp32).
using ReadDense = std::function<void(std::int64_t begin, const Tensor& out)>;

/// A matrix [out, in] kept in few bits. Its parts are parameters of bytes, frozen for good: strategies cut, gather and read them like all others.
/// Products dequantise a tile at a time, never the whole matrix; the gradient is that of the input alone, with the dequantised values.
class QuantisedWeight : public WeightStorage {
 public:
  Tensor multiply(const Tensor& x) final;
  Tensor input_gradient(const Tensor& grad) final;
  Tensor dense() const final;
  void visit(Visitor& v) final;

  /// x · Wᵀ outside autograd.
  Tensor product(const Tensor& x) const;
  /// The same on other devices than the CPU. x [n, in].
  virtual Tensor product_on_device(const Tensor& x_ni) const;
  /// Rows [begin, end) in fp32 by tensor operations.
  virtual Tensor dequantised(std::int64_t begin, std::int64_t end) const = 0;
  /// Fills `out` (1-d bytes) with a part's bytes from `begin` on, reading no more of the dense matrix than they depend on, a stretch at a time.
  virtual void read(const Parameter& part, std::int64_t begin, const Tensor& out, const ReadDense& dense) const = 0;

 protected:
  QuantisedWeight(const Parameter& dense, at::IntArrayRef code_shape, std::int64_t scale_bytes);

  std::int64_t in() const { return in_; }
  std::int64_t out() const { return out_; }
  const Parameter& codes() const { return codes_; }
  /// Whatever is needed beside the codes: numbers of fp32 first, then bytes.
  const Parameter& scales() const { return scales_; }
  const float* scale_floats() const { return static_cast<const float*>(scales_.value.const_data_ptr()); }
  const std::uint8_t* code_bytes() const { return static_cast<const std::uint8_t*>(codes_.value.const_data_ptr()); }

  /// Fills a tile [rows, columns] from that row and column on by a loop on its device; false where the storage has none for such tensors.
  virtual bool fill_by_kernel(const Tensor& tile, std::int64_t first_row, std::int64_t first_column) const;
  /// Elements of a tile there, some 8 MiB in bf16: large enough to keep a GPU busy, small beside a layer's activations.
  static constexpr std::int64_t kDeviceTile = 4 << 20;

  // On the CPU, over memory.
  virtual void dequantise(std::int64_t row, std::int64_t begin, std::int64_t n, float* to) const = 0;
  virtual void dequantise(std::int64_t row, std::int64_t begin, std::int64_t n, kernel::Bf16* to) const = 0;
  /// For few rows, as in decoding, without any tile. x [n, in], fp32 and contiguous → [n, out] in fp32.
  virtual Tensor few_rows(const Tensor& x_ni) const = 0;
  /// For many, in x's dtype; x contiguous.
  virtual Tensor many_rows(const Tensor& x_ni) const;

  /// Runs f(begin, end, memory) over tiles of `width` of `extent`, spread over threads; each has memory of `like`'s kind for its tiles, 1-d.
  static void each_tile(std::int64_t extent, std::int64_t width, std::int64_t elements, const at::TensorOptions& like,
                        const std::function<void(std::int64_t, std::int64_t, const Tensor&)>& f);
  /// Columns or rows of a tile: as many as a tile of 4 MiB holds where each has `length` elements, a multiple of `unit`, and no fewer
  /// tiles than threads where that is possible.
  static std::int64_t tile_width(std::int64_t extent, std::int64_t length, std::int64_t element_size, std::int64_t unit);

 private:
  Tensor gradient_on_device(const Tensor& g_no) const;
  Tensor gradient_by_rows(const Tensor& g_no) const;
  void fill_tile(const Tensor& tile, std::int64_t first_row, std::int64_t first_column) const;

  std::int64_t out_, in_;
  Parameter codes_, scales_;
};

/// Puts a quantised weight in the place of a Linear's dense one, whose parameter stays where it is, unvisited: on the meta device, as what its
/// values are read by.
void keep_quantised(Linear& linear, std::unique_ptr<QuantisedWeight> weight);

}  // namespace herd
