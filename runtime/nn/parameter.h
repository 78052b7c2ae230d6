#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "runtime/base/tensor.h"

namespace herd {

class Linear;

/// How a parameter starts where no file gives it.
enum class Init { kNormal, kZeros, kOnes, kKaimingUniform };

/// A tensor with a stable logical name (its Hugging Face name) and logical axes. On the meta device until `materialise`.
struct Parameter {
  Tensor value;                   ///< an autograd leaf
  std::vector<std::string> axes;  ///< one a dim, e.g. {"heads", "embed"}
  Init init = Init::kNormal;
  std::string name;               ///< set by `assign_names`
  bool trainable = true;

  Parameter() = default;
  Parameter(at::IntArrayRef shape, std::vector<std::string> axis_names, Init how = Init::kNormal);
  bool defined() const { return value.defined(); }
  /// Also sets the leaf's requires_grad.
  void set_trainable(bool on);
};

/// Walks a model's parameters in its own order and knows where it stands. Models list their parts in one `visit`.
class Visitor {
 public:
  virtual ~Visitor() = default;

  void operator()(std::string_view name, Parameter& parameter) {
    if (parameter.defined()) on_parameter(scoped(name), parameter);
  }

  /// Any module with `visit(Visitor&)`.
  template <class Module>
    requires(!std::is_same_v<Module, Parameter>)
  void operator()(std::string_view name, Module& module) {
    const auto outer = prefix_;
    prefix_ = scoped(name);
    if constexpr (std::is_same_v<Module, Linear>) on_linear(prefix_, module);
    module.visit(*this);
    prefix_ = outer;
  }

 protected:
  virtual void on_parameter(const std::string& /*name*/, Parameter&) {}
  virtual void on_linear(const std::string& /*name*/, Linear&) {}

 private:
  std::string scoped(std::string_view name) const { return prefix_.empty() ? std::string(name) : prefix_ + "." + std::string(name); }
  std::string prefix_;
};

/// Calls `f(name, parameter)` for every parameter of a module.
template <class Module, class F>
void for_each_parameter(Module& module, F f) {
  struct Each final : Visitor {
    explicit Each(F& callback) : callback_(callback) {}
    void on_parameter(const std::string& name, Parameter& parameter) override { callback_(name, parameter); }
    F& callback_;
  } each(f);
  module.visit(each);
}

/// Calls `f(name, linear)` for every Linear of a module.
template <class Module, class F>
void for_each_linear(Module& module, F f) {
  struct Each final : Visitor {
    explicit Each(F& callback) : callback_(callback) {}
    void on_linear(const std::string& name, Linear& linear) override { callback_(name, linear); }
    F& callback_;
  } each(f);
  module.visit(each);
}

/// Fills a materialised parameter by its `init`, keyed by (seed, name): the same on every rank and in any order.
/// @param std_dev of Init::kNormal.
void initialise(Parameter& parameter, std::uint64_t seed, double std_dev = 0.02);
/// The same uniformly in ±bound, whatever its `init`.
void initialise_uniform(Parameter& parameter, std::uint64_t seed, double bound);

/// Gives a meta parameter its dtype and keeps `trainable`.
void set_dtype(Parameter& parameter, at::ScalarType dtype);

/// Gives a meta parameter storage on the CPU with this dtype, uninitialised, and keeps `trainable`.
void materialise(Parameter& parameter, at::ScalarType dtype);

/// Where the values of parameters on the meta device come from, a stretch at a time: fills `out` (1-d, of the parameter's dtype) with its
/// elements from `begin` on. @throws IoError.
using ReadParameter = std::function<void(const Parameter& parameter, std::int64_t begin, const Tensor& out)>;

/// Materialises a meta parameter in its dtype, with its values.
void fill(Parameter& parameter, const ReadParameter& read);

}  // namespace herd
