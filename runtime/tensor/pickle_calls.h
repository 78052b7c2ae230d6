#pragma once
#include "runtime/tensor/pickle.h"

// What a pickle of tensors may name and call. For pickle.cpp.
namespace herd {

/// `MODULE.NAME`, where it is among the functions, storages and dtypes that tensors need; else "". It lives for ever.
std::string_view known_global(std::string_view module, std::string_view name);

/// What calling `name` with these arguments gives; nothing is called. @throws IoError for arguments that do not fit.
Pickled pickled_call(std::string_view name, const PickledTuple& arguments, const std::string& who);

/// The storage that a persistent id ("storage", kind, key, device, elements) names. @throws IoError.
Pickled pickled_storage(const Pickled& id, const std::string& who);

/// What holds elements of a dtype: `FloatStorage`; "" where torch has none.
std::string storage_name(at::ScalarType dtype);

}  // namespace herd
