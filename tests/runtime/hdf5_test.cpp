#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/base/file.h"
#include "runtime/base/hash.h"
#include "runtime/base/text.h"
#include "runtime/tensor/hdf5.h"
#include "tests/support/disk.h"
#include "tests/support/errors.h"
#include "tests/support/scratch.h"

namespace herd::test {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

const std::vector<at::ScalarType> kDtypes{at::kFloat, at::kDouble, at::kBFloat16, at::kHalf, at::kLong,   at::kInt,
                                          at::kShort, at::kChar,   at::kByte,     at::kBool, at::kUInt16, at::kUInt32};

// Small whole numbers, exact in every dtype.
Tensor values(std::int64_t count, at::ScalarType dtype) {
  return dtype == at::kBool ? (at::arange(count) % 3 == 0) : (at::arange(count) % 97).to(dtype);
}

TEST(Hdf5, EveryDtypeComesBackWholeAndInRanges) {
  Scratch scratch;
  {
    Hdf5Writer writer(scratch / "a.h5");
    writer.attribute("format", "herd 格式");
    writer.attribute("empty", "");
    for (const auto dtype : kDtypes)
      writer.write(std::string("value/layer.0.") + c10::toString(dtype), values(50, dtype), {{"shape", "5, 10"}});
    writer.write("nothing", at::empty({0}));
    writer.finish();
  }
  const Hdf5Reader reader(scratch / "a.h5");
  EXPECT_EQ(reader.attribute("format"), "herd 格式");
  EXPECT_EQ(reader.attribute("empty"), "");
  EXPECT_EQ(reader.datasets().size(), kDtypes.size() + 1);
  EXPECT_EQ(reader.info("nothing").elements, 0);
  for (const auto dtype : kDtypes) {
    const auto name = std::string("value/layer.0.") + c10::toString(dtype);
    EXPECT_EQ(reader.info(name).dtype, dtype);
    EXPECT_EQ(reader.info(name).elements, 50);
    for (const auto& [begin, count] : {std::pair<int, int>{0, 50}, {0, 1}, {49, 1}, {13, 20}, {50, 0}}) {
      const auto into = at::zeros({count}, at::TensorOptions(dtype));
      reader.read(name, begin, into);
      EXPECT_TRUE(at::equal(into, values(50, dtype).narrow(0, begin, count))) << name << " " << begin;
    }
  }
}

TEST(Hdf5, WrongRequestsAreRefused) {
  Scratch scratch;
  Hdf5Writer writer(scratch / "a.h5");
  writer.write("a", values(5, at::kFloat));
  EXPECT_THAT(message_of<IoError>([&] { writer.write("a", values(5, at::kFloat)); }), HasSubstr("cannot write dataset 'a'"));
  EXPECT_THROW(writer.write("b", values(6, at::kFloat).view({2, 3}).t()), ShapeError);
  EXPECT_THROW(writer.write("c", at::zeros({2}, at::kComplexFloat)), ShapeError);
  writer.finish();
  const Hdf5Reader reader(scratch / "a.h5");
  EXPECT_THAT(message_of<IoError>([&] { reader.read("a", 3, at::zeros({3})); }), HasSubstr("5 elements of F32; expected 6 of F32"));
  EXPECT_THAT(message_of<IoError>([&] { reader.read("a", 0, at::zeros({5}, at::kLong)); }), HasSubstr("expected 5 of I64"));
  EXPECT_THAT(message_of<IoError>([&] { (void)reader.info("b"); }), HasSubstr("cannot read dataset 'b'"));
  EXPECT_THAT(message_of<IoError>([&] { Hdf5Reader missing(scratch / "no.h5"); }), HasSubstr("No such file"));
  write_file_atomically(scratch / "text.h5", "this is no HDF5 file, however long it may be");
  EXPECT_THAT(message_of<IoError>([&] { Hdf5Reader text(scratch / "text.h5"); }), HasSubstr("text.h5"));
  EXPECT_THAT(message_of<IoError>([&] { Hdf5Writer nowhere(scratch / "no" / "a.h5"); }), HasSubstr("No such file"));
}

// The library says so at H5Dwrite alone, and then closes in peace.
void write_until_full(const fs::path& folder, const std::string& expected) {
  const auto big = at::ones({1 << 20});
  for (const std::int64_t first :
       {1, 60000, 62000, 63000, 65000}) {  // the end of the disk falls into values, then into the library's own bytes
    const auto message = message_of<IoError>([&] {
      Hdf5Writer writer(folder / "full.h5");
      writer.write("first", big.narrow(0, 0, first));
      for (int i = 0; i < 64; ++i) writer.write("small/" + std::to_string(i), big.narrow(0, 0, 512), {{"shape", std::string(200, 'x')}});
      writer.write("big", big);
      writer.finish();
    });
    EXPECT_THAT(message, HasSubstr("full.h5"));
    EXPECT_THAT(message, HasSubstr(expected));
    EXPECT_EQ(fs::file_size(folder / "full.h5"), 0u) << "or it would hold its room on the disk";
    fs::remove(folder / "full.h5");
  }
  // Room again: the same process writes on.
  Hdf5Writer writer(folder / "small.h5");
  writer.write("a", big.narrow(0, 0, 10));
  writer.finish();
  auto again = at::zeros({10});
  Hdf5Reader(folder / "small.h5").read("a", 0, again);
  EXPECT_TRUE(at::equal(again, at::ones({10})));
}

TEST(Hdf5, AFullDiskIsAnErrorAndNotACrash) {
  SmallDisk disk(256 << 10);
  if (!disk.mounted()) GTEST_SKIP() << "cannot mount a tmpfs: " << disk.why_not();
  write_until_full(disk.path(), "No space left on device");
}

TEST(Hdf5, AFileSizeLimitIsAnErrorAndNotACrash) {
  Scratch scratch;
  FileSizeLimit limit(256 << 10);
  write_until_full(scratch.path(), "File too large");
}

// Wherever the end falls, also into what the library writes at the close: told, or all is there.
TEST(Hdf5, NoLimitIsPassedInSilence) {
  Scratch scratch;
  int told = 0, whole = 0;
  for (std::size_t limit = 0; limit < 120'000; limit += 1'999) {
    const auto path = scratch / "a.h5";
    fs::remove(path);
    try {
      FileSizeLimit end(limit);
      Hdf5Writer writer(path);
      for (int i = 0; i < 100; ++i) writer.write("small/" + std::to_string(i), at::full({100}, i), {{"shape", "100"}});
      writer.finish();
    } catch (const IoError&) {
      ++told;
      continue;
    }
    ++whole;
    const Hdf5Reader reader(path);
    for (int i = 0; i < 100; ++i) {
      auto values = at::zeros({100}, at::kLong);
      reader.read("small/" + std::to_string(i), 0, values);
      EXPECT_TRUE(at::equal(values, at::full({100}, i))) << limit;
    }
  }
  EXPECT_GT(told, 10);
  EXPECT_GT(whole, 0);
}

TEST(Hasher, IsTheFingerprintHoweverTheBytesAreCut) {
  std::string text;
  for (int i = 0; i < 3000; ++i) text += static_cast<char>(i * 7);
  for (const std::size_t cut : {1, 16, 240, 1000, 3000}) {
    Hasher hasher;
    for (std::size_t at = 0; at < text.size(); at += cut) hasher.update(text.data() + at, std::min(cut, text.size() - at));
    EXPECT_EQ(hasher.hex(), fingerprint(text)) << cut;
  }
  EXPECT_EQ(Hasher().hex(), fingerprint(""));
}

}  // namespace
}  // namespace herd::test
