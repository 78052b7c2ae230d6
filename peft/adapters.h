#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "peft/adapter_io.h"
#include "runtime/nn/causal_lm.h"

namespace herd {

/// Several adapters on one base, of any methods, one in place at a time. All are read once; to take another moves pointers, and the base is never
/// read again. For answering: nothing is trained here.
class Adapters {
 public:
  /// @param base with its values, plain; outlives this.
  explicit Adapters(CausalLm& base);
  ~Adapters();
  Adapters(const Adapters&) = delete;
  Adapters& operator=(const Adapters&) = delete;

  /// Reads an adapter's folder; none is in place afterwards. @param name what errors begin with, where it has one. @return its number, from 0.
  /// @throws as attach_adapter does; the base is then as it was.
  std::size_t add(const std::string& name, const std::filesystem::path& folder, const AdapterBase& base);
  /// Puts one in place; nothing: the base alone.
  void use(std::optional<std::size_t> adapter);

 private:
  struct Parts;
  void exchange(Parts& parts);

  CausalLm& model_;
  std::vector<std::unique_ptr<Parts>> adapters_;
  std::optional<std::size_t> in_place_;
};

}  // namespace herd
