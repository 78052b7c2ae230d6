#pragma once
#include <cstddef>
#include <memory>
#include <string>

namespace herd {

/// A cryptographic hash of bytes that come piece by piece (FIPS 180-4): what others know a file by. Our own fingerprints are in hash.h.
class Digest {
 public:
  enum class Kind { kSha1, kSha256 };
  explicit Digest(Kind kind);
  ~Digest();
  Digest(Digest&&) noexcept;
  Digest& operator=(Digest&&) noexcept;

  void update(const void* bytes, std::size_t count);
  /// Lower-case hex of all bytes so far; nothing may follow.
  std::string finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace herd
