#pragma once
#include <cstddef>
#include <memory>
#include <string>

namespace herd {

/// `fingerprint` (text.h) of bytes that come piece by piece: 128-bit XXH3, 32 hex characters, however they are cut.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;

  void update(const void* bytes, std::size_t count);
  /// Of all bytes so far; more may follow.
  std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace herd
