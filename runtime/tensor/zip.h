#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/file.h"

namespace herd {

/// Where a member of a zip archive lies in the file.
struct ZipMember {
  std::uint64_t offset = 0, bytes = 0;
  std::uint32_t crc = 0;
};

/// The members of an archive whose members are stored as they are, as torch.save writes it (PKWARE, APPNOTE.TXT 6.3; zip64 too). Every
/// header is read: members lie inside the file, side by side, each under one name in both its headers.
/// @throws IoError for a file that is cut off, broken, or has compressed or encrypted members.
std::map<std::string, ZipMember> read_zip(const File& file);

/// Writes such an archive, member by member; data start at multiples of 64 bytes of the file, as torch.save lays them.
class ZipWriter {
 public:
  /// @param file empty yet; it outlives the writer.
  explicit ZipWriter(File& file) : file_(file) {}
  using Write = std::function<void(std::string_view piece)>;
  /// @param bytes what `fill` hands to its argument, all together. @throws IoError.
  void add(const std::string& name, std::uint64_t bytes, const std::function<void(const Write&)>& fill);
  void add(const std::string& name, std::string_view text);
  /// The directory. Without it the file is no archive.
  void finish();

 private:
  void write(std::string_view text);

  struct Entry {
    std::string name;
    std::uint64_t header, bytes;
    std::uint32_t crc;
  };
  File& file_;
  std::uint64_t at_ = 0;
  std::vector<Entry> entries_;
};

}  // namespace herd
