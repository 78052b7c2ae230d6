#pragma once
#include <cstdint>
#include <deque>
#include <memory_resource>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "runtime/base/tensor.h"

// What torch.save writes as `data.pkl`, read without running any of it (Python's pickletools.py names the operations; torch/_utils.py and
// torch/_weights_only_unpickler.py say how tensors are put together).
namespace herd {

struct Pickled;
using PickledRef = const Pickled*;

// A pickle may name one value any number of times, so nothing long is ever copied: texts and the items of tuples lie in the Pickle alone.
struct PickledTuple {
  std::span<const PickledRef> items;
};
struct PickledList {
  std::vector<PickledRef> items;
};
struct PickledDict {
  std::vector<std::pair<PickledRef, PickledRef>> items;
};
/// A name of a module's that tensors need: a function, a kind of storage, a dtype.
struct PickledGlobal {
  std::string_view name;
};
/// Elements that lie under `data/KEY` of the archive.
struct PickledStorage {
  std::string_view key;
  at::ScalarType dtype = at::kByte;
  std::int64_t elements = 0;
};
/// A view of a storage. Checked: it reaches no element outside, and holds none twice.
struct PickledTensor {
  const PickledStorage* storage = nullptr;
  const PickledTuple *sizes = nullptr, *steps = nullptr;  ///< whole numbers, as many of both
  std::int64_t offset = 0;                                ///< as strides, in elements of dtype
  at::ScalarType dtype = at::kFloat;

  std::vector<std::int64_t> shape() const;
  std::vector<std::int64_t> strides() const;
};

/// One value; None, and whole numbers beyond 64 bits, are the monostate.
struct Pickled {
  std::variant<std::monostate, bool, std::int64_t, double, std::string_view, PickledTuple, PickledList, PickledDict, PickledGlobal,
               PickledStorage, PickledTensor>
      value;

  template <class T>
  const T* get() const {
    return std::get_if<T>(&value);
  }
};

/// A text for an error: what a hostile file says may be long. Its first 100 bytes and "…" then.
std::string shortened(std::string_view text);

/// The values of a pickle. They live as long as it does. Memory is linear in its length, whatever it says (some 100 bytes for each of its own
/// at the most), and time but for a logarithm. Values may hold one another in circles, and many times: whoever walks over them looks no deeper
/// than he needs, and at nothing twice.
class Pickle {
 public:
  /// @param who what errors call it. @throws IoError for a call of anything but the functions that make tensors, for an operation that
  /// no tensor needs, a pickle that is cut off or broken, and a tensor that reaches outside its storage.
  Pickle(std::string bytes, const std::string& who);
  Pickle(const Pickle&) = delete;
  Pickle& operator=(const Pickle&) = delete;

  const Pickled& root() const { return *root_; }

 private:
  std::string bytes_;
  std::pmr::monotonic_buffer_resource tuples_;
  std::deque<Pickled> values_;  // no value owns another: nothing recurses, not even the end
  PickledRef root_ = nullptr;
};

}  // namespace herd
