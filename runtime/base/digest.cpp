#include "runtime/base/digest.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>
#include <new>

#include "runtime/base/error.h"

namespace herd {

struct Digest::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  State() {
    if (!context) throw std::bad_alloc();
  }
  ~State() { EVP_MD_CTX_free(context); }
  static void check(int good, const char* what) {
    if (good != 1) throw Error({.who = "libcrypto", .found = std::string("cannot ") + what + " a hash"});
  }
};

Digest::Digest(Kind kind) : state_(std::make_unique<State>()) {
  State::check(EVP_DigestInit_ex(state_->context, kind == Kind::kSha1 ? EVP_sha1() : EVP_sha256(), nullptr), "begin");
}
Digest::~Digest() = default;
Digest::Digest(Digest&&) noexcept = default;
Digest& Digest::operator=(Digest&&) noexcept = default;

void Digest::update(const void* bytes, std::size_t count) { State::check(EVP_DigestUpdate(state_->context, bytes, count), "feed"); }

std::string Digest::finish() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned int count = 0;
  State::check(EVP_DigestFinal_ex(state_->context, bytes.data(), &count), "finish");
  std::string hex;
  for (unsigned int i = 0; i < count; ++i) hex += fmt::format("{:02x}", bytes[i]);
  return hex;
}

}  // namespace herd
