#pragma once
#include "runtime/tensor/pickle.h"

// What a pickle of tensors may name and call. For pickle.cpp.
namespace herd {

/// Whether `MODULE.NAME` is among the functions, storages and dtypes that tensors need.
bool is_known_global(const std::string& name);

/// What calling `name` with these arguments gives; nothing is called. @throws IoError for arguments that do not fit.
Pickled pickled_call(const std::string& name, const PickledTuple& arguments, const std::string& who);

/// The storage that a persistent id ("storage", kind, key, device, elements) names. @throws IoError.
Pickled pickled_storage(const Pickled& id, const std::string& who);

/// What holds elements of a dtype: `FloatStorage`; "" where torch has none.
std::string storage_name(at::ScalarType dtype);

}  // namespace herd
