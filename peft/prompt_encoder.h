#pragma once
#include <memory>
#include <vector>

#include "peft/start.h"
#include "runtime/nn/causal_lm.h"

namespace herd {

struct PeftOptions;

/// What stands between a table of n rows and the side input that it becomes, in training alone: a PEFT folder keeps what comes out.
class PromptEncoder {
 public:
  virtual ~PromptEncoder() = default;
  /// [n, width in] → [n, width out]. Always a new tensor.
  virtual Tensor operator()(const Tensor& table_nd) = 0;
  virtual void visit(Visitor& v) = 0;
};

/// The trained numbers of an encoder: their names as in a living PEFT model without the adapter's own, their dtype.
struct EncoderPlace {
  std::string name;  ///< "prompt_encoder.mlp_head"
  at::ScalarType dtype = at::kFloat;
  const PeftStart& start;
};

/// Two layers with a tanh between: d → hidden → out (Li & Liang 2021, section 4.3).
std::unique_ptr<PromptEncoder> prefix_projection(std::int64_t d, std::int64_t hidden, std::int64_t out, const EncoderPlace& place);
/// Three layers with a ReLU between (Liu et al. 2021, as PEFT builds it).
std::unique_ptr<PromptEncoder> mlp_encoder(std::int64_t d, std::int64_t hidden, const EncoderPlace& place);
/// An LSTM both ways, then two layers with a ReLU between (Liu et al. 2021, section 3.2). Its dropout, between its layers, is keyed by the step
/// and so the same for all rows, ranks and micro-batches of one.
std::unique_ptr<PromptEncoder> lstm_encoder(std::int64_t d, std::int64_t hidden, std::int64_t layers, double dropout,
                                            std::shared_ptr<const RandomKeys> keys, const EncoderPlace& place);

}  // namespace herd
