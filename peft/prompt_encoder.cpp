#include "peft/prompt_encoder.h"

#include <cmath>

#include "peft/dropout.h"
#include "peft/rectified.h"

namespace herd {
namespace {

// As PyTorch starts its linear layers and LSTMs: uniform in ±1/√width.
void begin_uniform(Parameter& parameter, const std::string& name, std::int64_t width, const EncoderPlace& place) {
  parameter.name = place.name + "." + name;
  set_dtype(parameter, place.dtype);
  if (!place.start.seed) return;
  materialise(parameter, place.dtype);
  initialise_uniform(parameter, *place.start.seed, 1 / std::sqrt(static_cast<double>(width)));
}

struct Layer {
  Layer(std::int64_t in, std::int64_t out, int number, const EncoderPlace& place) : weight({out, in}, {"out", "in"}), bias({out}, {"out"}), number_(number) {
    begin_uniform(weight, std::to_string(number) + ".weight", in, place);
    begin_uniform(bias, std::to_string(number) + ".bias", in, place);
  }
  Tensor operator()(const Tensor& x) const { return at::linear(x, weight.value, bias.value); }
  void visit(Visitor& v) {
    v(std::to_string(number_) + ".weight", weight);
    v(std::to_string(number_) + ".bias", bias);
  }
  Parameter weight, bias;  // [out, in] [out]
  int number_;
};

using Between = Tensor (*)(const Tensor&);

class Layers final : public PromptEncoder {
 public:
  /// @param widths of the input and of each layer's output. @param between neighbours.
  Layers(const std::vector<std::int64_t>& widths, Between between, const EncoderPlace& place) : between_(between) {
    for (std::size_t i = 0; i + 1 < widths.size(); ++i) layers_.emplace_back(widths[i], widths[i + 1], static_cast<int>(2 * i), place);
  }
  Tensor operator()(const Tensor& table_nd) override {
    auto x = layers_.front()(table_nd);
    for (std::size_t i = 1; i < layers_.size(); ++i) x = layers_[i](between_(x));
    return x;
  }
  void visit(Visitor& v) override {
    for (auto& layer : layers_) layer.visit(v);
  }

 private:
  std::vector<Layer> layers_;
  Between between_;
};

// One layer of an LSTM, both ways: PyTorch's four tensors for each of them.
struct LstmLayer {
  LstmLayer(std::int64_t in, std::int64_t hidden, std::int64_t number, const EncoderPlace& place) {
    for (const auto* way : {"", "_reverse"})
      for (const auto* part : {"weight_ih", "weight_hh", "bias_ih", "bias_hh"}) {
        const bool is_weight = part[0] == 'w', of_input = part[is_weight ? 7 : 5] == 'i';
        if (is_weight) parameters.emplace_back(at::IntArrayRef{4 * hidden, of_input ? in : hidden}, std::vector<std::string>{"gates", "in"});
        else parameters.emplace_back(at::IntArrayRef{4 * hidden}, std::vector<std::string>{"gates"});
        names.push_back(part + ("_l" + std::to_string(number)) + way);
        begin_uniform(parameters.back(), names.back(), hidden, place);
      }
  }
  Tensor operator()(const Tensor& x_nd) const {
    std::vector<Tensor> weights;
    for (const auto& p : parameters) weights.push_back(p.value);
    const std::vector<Tensor> state(2, at::zeros({2, 1, parameters[1].value.size(1)}, x_nd.options().requires_grad(false)));
    return std::get<0>(at::lstm(x_nd.unsqueeze(0), state, weights, /*has_biases=*/true, /*num_layers=*/1, /*dropout=*/0, /*train=*/false,
                                /*bidirectional=*/true, /*batch_first=*/true))
        .squeeze(0);
  }
  void visit(Visitor& v) {
    for (std::size_t i = 0; i < parameters.size(); ++i) v(names[i], parameters[i]);
  }
  std::vector<Parameter> parameters;  // [4·hidden, in] [4·hidden, hidden] [4·hidden] [4·hidden], forwards and then backwards
  std::vector<std::string> names;
};

class LstmEncoder final : public PromptEncoder {
 public:
  LstmEncoder(std::int64_t d, std::int64_t hidden, std::int64_t layers, double dropout, std::shared_ptr<const RandomKeys> keys, const EncoderPlace& place)
      : head_({2 * hidden, 2 * hidden, d}, rectified, {place.name + ".mlp_head", place.dtype, place.start}) {
    const EncoderPlace own{place.name + ".lstm_head", place.dtype, place.start};
    for (std::int64_t i = 0; i < layers; ++i) {
      layers_.emplace_back(i == 0 ? d : 2 * hidden, hidden, i, own);
      dropouts_.emplace_back(dropout, own.name + "." + std::to_string(i), keys);
    }
  }
  Tensor operator()(const Tensor& table_nd) override {
    auto x = layers_.front()(table_nd);
    for (std::size_t i = 1; i < layers_.size(); ++i) x = layers_[i](dropouts_[i - 1].of_all_rows(x));
    return head_(x);
  }
  void visit(Visitor& v) override {
    for (auto& layer : layers_) v("lstm_head", layer);
    v("mlp_head", head_);
  }

 private:
  std::vector<LstmLayer> layers_;
  std::vector<KeyedDropout> dropouts_;
  Layers head_;
};

}  // namespace

std::unique_ptr<PromptEncoder> prefix_projection(std::int64_t d, std::int64_t hidden, std::int64_t out, const EncoderPlace& place) {
  return std::make_unique<Layers>(std::vector{d, hidden, out}, at::tanh, EncoderPlace{place.name + ".transform", place.dtype, place.start});
}

std::unique_ptr<PromptEncoder> mlp_encoder(std::int64_t d, std::int64_t hidden, const EncoderPlace& place) {
  return std::make_unique<Layers>(std::vector{d, hidden, hidden, d}, rectified, EncoderPlace{place.name + ".mlp_head", place.dtype, place.start});
}

std::unique_ptr<PromptEncoder> lstm_encoder(std::int64_t d, std::int64_t hidden, std::int64_t layers, double dropout,
                                            std::shared_ptr<const RandomKeys> keys, const EncoderPlace& place) {
  return std::make_unique<LstmEncoder>(d, hidden, layers, dropout, std::move(keys), place);
}

}  // namespace herd
