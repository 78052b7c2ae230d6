#include "parallel/comm/agree.h"

#include <cstring>
#include <numeric>

#include "runtime/base/error.h"

namespace herd {
namespace {

Tensor bytes_of(std::string_view text) {
  auto bytes = at::empty({static_cast<std::int64_t>(text.size())}, at::kByte);
  if (!text.empty()) std::memcpy(bytes.mutable_data_ptr(), text.data(), text.size());
  return bytes;
}

// An error on the wire: its type's letter and the four parts of the complaint, each with its length before it.
template <class E>
std::string pack(char type, const E& error) {
  std::string wire(1, type);
  const auto& c = error.complaint();
  for (const auto* part : {&c.who, &c.found, &c.expected, &c.remedy}) wire += std::to_string(part->size()) + ":" + *part;
  return wire;
}

std::string pack(const std::exception_ptr& error) {
  if (!error) return "";
  try {
    std::rethrow_exception(error);
  } catch (const ConfigError& e) {
    return pack('C', e);
  } catch (const DataError& e) {
    return pack('D', e);
  } catch (const ShapeError& e) {
    return pack('S', e);
  } catch (const CommError& e) {
    return pack('M', e);
  } catch (const IoError& e) {
    return pack('I', e);
  } catch (const Error& e) {
    return pack('E', e);
  } catch (const std::exception& e) {
    return pack('E', Error({.who = e.what()}));
  } catch (...) {
    return pack('E', Error({.who = "an unknown exception"}));
  }
}

[[noreturn]] void rethrow(std::string_view wire, const std::string& prefix) {
  const char type = wire[0];
  std::size_t at = 1;
  auto next = [&] {
    const auto colon = wire.find(':', at);
    const auto length = std::stoul(std::string(wire.substr(at, colon - at)));
    at = colon + 1 + length;
    return std::string(wire.substr(colon + 1, length));
  };
  Complaint complaint{.everywhere = true};
  for (auto* part : {&complaint.who, &complaint.found, &complaint.expected, &complaint.remedy}) *part = next();
  complaint.who = prefix + complaint.who;
  switch (type) {
    case 'C': throw ConfigError(std::move(complaint));
    case 'D': throw DataError(std::move(complaint));
    case 'S': throw ShapeError(std::move(complaint));
    case 'M': throw CommError(std::move(complaint));
    case 'I': throw IoError(std::move(complaint));
    default: throw Error(std::move(complaint));
  }
}

}  // namespace

std::vector<std::string> all_gather_string(Communicator& communicator, std::string_view text) {
  auto lengths = at::empty({communicator.size()}, at::kLong);
  communicator.all_gather(lengths, at::full({1}, static_cast<std::int64_t>(text.size()), at::kLong)).wait();
  const auto* counts = lengths.const_data_ptr<std::int64_t>();
  auto all = at::empty({std::accumulate(counts, counts + communicator.size(), std::int64_t{0})}, at::kByte);
  communicator.all_gather(all, bytes_of(text), {counts, counts + communicator.size()}).wait();
  std::vector<std::string> texts;
  const char* from = static_cast<const char*>(all.const_data_ptr());
  for (int r = 0; r < communicator.size(); from += counts[r], ++r) texts.emplace_back(from, static_cast<std::size_t>(counts[r]));
  return texts;
}

std::string broadcast_string(Communicator& communicator, std::string_view text, int root) {
  auto length = at::full({1}, static_cast<std::int64_t>(text.size()), at::kLong);
  communicator.broadcast(length, root).wait();
  auto bytes = communicator.rank() == root ? bytes_of(text) : at::empty({length.item<std::int64_t>()}, at::kByte);
  communicator.broadcast(bytes, root).wait();
  return {static_cast<const char*>(bytes.const_data_ptr()), static_cast<std::size_t>(bytes.numel())};
}

void agree_on(Communicator& communicator, std::exception_ptr local_error) {
  std::vector<std::string> errors;
  try {
    errors = all_gather_string(communicator, pack(local_error));
  } catch (const CommError&) {
    if (local_error) std::rethrow_exception(local_error);
    throw;
  }
  auto first = std::find_if(errors.begin(), errors.end(), [](const auto& e) { return !e.empty() && e[0] != 'M'; });
  if (first == errors.end()) first = std::find_if(errors.begin(), errors.end(), [](const auto& e) { return !e.empty(); });
  if (first == errors.end()) return;
  const bool unanimous = std::all_of(errors.begin(), errors.end(), [&](const auto& e) { return e == errors[0]; });
  rethrow(*first, unanimous ? "" : "rank " + std::to_string(first - errors.begin()) + ": ");
}

}  // namespace herd
