#pragma once
#include <cstdint>
#include <deque>
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

struct PickledTuple {
  std::vector<PickledRef> items;
};
struct PickledList {
  std::vector<PickledRef> items;
};
struct PickledDict {
  std::vector<std::pair<PickledRef, PickledRef>> items;
};
/// A name of a module's that tensors need: a function, a kind of storage, a dtype.
struct PickledGlobal {
  std::string name;
};
/// Elements that lie under `data/KEY` of the archive.
struct PickledStorage {
  std::string key;
  at::ScalarType dtype = at::kByte;
  std::int64_t elements = 0;
};
/// A view of a storage. Checked: it reaches no element outside, and holds none twice.
struct PickledTensor {
  PickledStorage storage;
  at::ScalarType dtype = at::kFloat;
  std::vector<std::int64_t> shape, strides;  ///< strides and offset in elements of dtype
  std::int64_t offset = 0;
};

/// One value; None, and whole numbers beyond 64 bits, are the monostate.
struct Pickled {
  std::variant<std::monostate, bool, std::int64_t, double, std::string, PickledTuple, PickledList, PickledDict, PickledGlobal, PickledStorage,
               PickledTensor>
      value;

  template <class T>
  const T* get() const {
    return std::get_if<T>(&value);
  }
};

/// The values of a pickle. They live as long as it does. Memory is linear in the pickle's length, whatever it says; values may hold one
/// another in circles: whoever walks over them looks no deeper than he needs.
class Pickle {
 public:
  /// @param who what errors call it. @throws IoError for a call of anything but the functions that make tensors, for an operation that
  /// no tensor needs, a pickle that is cut off or broken, and a tensor that reaches outside its storage.
  Pickle(std::string_view bytes, const std::string& who);
  Pickle(Pickle&&) = default;

  const Pickled& root() const { return *root_; }

 private:
  std::deque<Pickled> values_;  // no value owns another: nothing recurses, not even the end
  PickledRef root_ = nullptr;
};

}  // namespace herd
