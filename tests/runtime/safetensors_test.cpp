// Safetensors against files laid out by hand from the format's description; the parity test holds them against Hugging Face's library.
#include "runtime/tensor/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "runtime/tensor/dtype.h"
#include "runtime/tensor/weights.h"
#include "tests/support/assets.h"
#include "tests/support/errors.h"
#include "tests/support/scratch.h"

namespace herd {
namespace {
using test::kNoError;
using test::message_of;
using test::outcome_of;
using testing::AllOf;
using testing::HasSubstr;

/// Every bit pattern that fits, in any dtype.
Tensor bits(at::ScalarType dtype, std::vector<std::int64_t> shape, int seed) {
  auto tensor = at::empty(shape, at::TensorOptions(dtype));
  auto* bytes = static_cast<unsigned char*>(tensor.data_ptr());
  for (std::size_t i = 0; i < tensor.nbytes(); ++i) bytes[i] = static_cast<unsigned char>(dtype == at::kBool ? i % 2 : i * 37 + seed);
  return tensor;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() && (a.numel() == 0 || std::memcmp(a.data_ptr(), b.data_ptr(), a.nbytes()) == 0);
}

class Safetensors : public testing::Test {
 protected:
  /// A file of this header and these bytes, with the length in front.
  std::filesystem::path lay(const std::string& header, const std::string& data, std::int64_t length_error = 0) {
    const auto path = scratch_ / "t.safetensors";
    const auto length = static_cast<std::uint64_t>(static_cast<std::int64_t>(header.size()) + length_error);
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(&length), 8) << header << data;
    return path;
  }
  std::string outcome(const std::string& header, const std::string& data) {
    const auto path = lay(header, data);
    return outcome_of<Error>([&] { SafetensorsFile file(path); });
  }
  test::Scratch scratch_;
};

TEST_F(Safetensors, ReadsAFileLaidOutByHand) {
  const float values[6] = {1, -2.5f, 3, 0, 1e-30f, 6};
  const std::int64_t number = -7;
  std::string data(reinterpret_cast<const char*>(&number), 8);
  data.append(reinterpret_cast<const char*>(values), sizeof values);
  const SafetensorsFile file(lay(R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[8,32]},)"
                                 R"("n":{"dtype":"I64","shape":[],"data_offsets":[0,8]},"none":{"dtype":"F16","shape":[0,4],"data_offsets":[8,8]}}    )",
                                 data));
  EXPECT_THAT(file.names(), testing::ElementsAre("a", "n", "none"));
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_EQ(file.info("a").bytes, 24u);
  EXPECT_EQ(file.info("a").dtype, at::kFloat);
  EXPECT_TRUE(at::equal(file.view("a"), at::tensor({1.f, -2.5f, 3.f, 0.f, 1e-30f, 6.f}).view({2, 3})));
  EXPECT_EQ(file.view("n").item<std::int64_t>(), -7);
  EXPECT_EQ(file.view("none").sizes(), at::IntArrayRef({0, 4}));
  EXPECT_THAT(message_of<Error>([&] { (void)file.view("nome"); }), AllOf(HasSubstr("no tensor 'nome'"), HasSubstr("did you mean 'none'?")));
}

TEST_F(Safetensors, EveryDtypeComesBackBitForBit) {
  NamedTensors tensors;
  for (const auto dtype : stored_dtypes()) {
    tensors.emplace_back(std::string("x.") + c10::toString(dtype), bits(dtype, {3, 5}, 1));
    tensors.emplace_back(std::string("scalar.") + c10::toString(dtype), bits(dtype, {}, 2));
    EXPECT_EQ(dtype_from_name(dtype_name(dtype)), dtype);
  }
  tensors.emplace_back("empty", at::empty({0, 3}));
  tensors.emplace_back("名 \"quoted\"", at::arange(4));
  write_safetensors(scratch_ / "all.safetensors", tensors, {{"format", "pt"}, {"by", "herd"}});
  std::map<std::string, Tensor> views;
  {
    const SafetensorsFile file(scratch_ / "all.safetensors");
    EXPECT_EQ(file.metadata(), (SafetensorsMetadata{{"format", "pt"}, {"by", "herd"}}));
    EXPECT_EQ(file.names().size(), tensors.size());
    for (const auto& [name, tensor] : tensors) {
      views[name] = file.view(name);
      auto copy = bits(tensor.scalar_type(), tensor.sizes().vec(), 9);
      file.read_into(name, copy);
      EXPECT_TRUE(same_bits(copy, tensor)) << name;
      // Each starts where its dtype wants it, so that views need no copy.
      EXPECT_EQ(file.info(name).offset % c10::elementSize(tensor.scalar_type()), 0u) << name;
    }
  }
  // Views outlive the file object, and its name in the folder.
  std::filesystem::remove(scratch_ / "all.safetensors");
  for (const auto& [name, tensor] : tensors) EXPECT_TRUE(same_bits(views.at(name), tensor)) << name;
}

TEST_F(Safetensors, ReadsIntoItsPlaceWithConversion) {
  const auto source = at::tensor({1.f, 1.00390625f, 3.3895e38f, -0.1f});
  write_safetensors(scratch_ / "t.safetensors", {{"w", source}, {"t", at::arange(6).view({2, 3}).t()}});
  const SafetensorsFile file(scratch_ / "t.safetensors");
  auto half = at::zeros({4}, at::kBFloat16);
  file.read_into("w", half);
  EXPECT_TRUE(at::equal(half, source.to(at::kBFloat16)));
  // A slice of a larger flat buffer, a leaf.
  auto flat = at::full({8}, 9.f);
  auto place = flat.narrow(0, 2, 4).set_requires_grad(true);
  file.read_into("w", place);
  EXPECT_TRUE(at::equal(flat.detach(), at::tensor({9.f, 9.f, 1.f, 1.00390625f, 3.3895e38f, -0.1f, 9.f, 9.f})));
  EXPECT_TRUE(at::equal(file.view("t"), at::tensor({0, 3, 1, 4, 2, 5}, at::kLong).view({3, 2})));  // strides are written out
  EXPECT_THAT(message_of<Error>([&] { file.read_into("w", at::zeros({5})); }),
              AllOf(HasSubstr("'w': shape [4] in the file; expected [5]")));
  EXPECT_THAT(message_of<Error>([&] { file.read_into("t", at::zeros({2, 3}).t()); }), HasSubstr("not contiguous"));
  // Writing into a view leaves the file alone.
  file.view("w").fill_(5);
  EXPECT_TRUE(at::equal(file.view("w"), source));
}

TEST_F(Safetensors, MisalignedTensorsAreCopied) {
  const SafetensorsFile file(lay(R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"f":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}})",
                                 std::string("\x07\0\0\x80\x3f", 5)));
  EXPECT_EQ(file.view("f").item<float>(), 1.f);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(file.view("f").data_ptr()) % 4, 0u);
}

TEST_F(Safetensors, BrokenFilesAreRefusedByName) {
  const auto entry = [](const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return R"({"w":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
  };
  const std::string eight(8, 'x');
  EXPECT_EQ(outcome(entry("\"F32\"", "[2]", "[0,8]"), eight), kNoError);
  const auto refused = [&](const std::string& header, const std::string& data, const std::string& why) {
    EXPECT_THAT(outcome(header, data), AllOf(HasSubstr((scratch_ / "t.safetensors").string()), HasSubstr(why))) << header;
  };
  refused(entry("\"F32\"", "[2]", "[0,8]"), eight.substr(1), "'w': it ends at byte 8 of 7");
  refused(entry("\"F32\"", "[2]", "[0,8]"), eight + "y", "9 bytes of tensors; expected 8");
  refused(entry("\"F99\"", "[2]", "[0,8]"), eight, "'w': dtype \"F99\"; expected one of BOOL");
  refused(entry("32", "[2]", "[0,8]"), eight, "dtype 32");
  refused(entry("\"F32\"", "[3]", "[0,8]"), eight, "expected 12 bytes for F32 [3]");
  refused(entry("\"F32\"", "[-2]", "[0,8]"), eight, "shape [-2]; expected a list of sizes");
  refused(entry("\"F32\"", "[2.0]", "[0,8]"), eight, "shape [2.0]");
  refused(entry("\"F32\"", "[4611686018427387905,8]", "[0,8]"), eight, "sizes that fit memory");
  refused(entry("\"F32\"", "[2]", "[8,0]"), eight, "data_offsets [8,0]");
  refused(entry("\"F32\"", "[2]", "[0]"), eight, "expected [start, end]");
  refused(R"({"w":{"dtype":"F32","shape":[2]}})", eight, "dtype, shape and data_offsets");
  refused(R"({"w":)", eight, "a broken header");
  refused("[1]", "", "no JSON object");
  refused(R"({"__metadata__":{"a":1}})", "", "'a': 1; expected a string");
  refused(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})", eight, "'a' twice");
  refused(R"({"a":{"dtype":"U8","shape":[5],"data_offsets":[0,5]},"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})", eight,
          "'b': it starts at byte 4, inside the tensor before it; expected byte 5");
  refused(R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})", eight,
          "after a hole; expected byte 3");

  EXPECT_THAT(message_of<Error>([&] { SafetensorsFile file(lay("{}", "", 1000)); }),
              HasSubstr("only 10 bytes; expected 1010 for the header"));
  EXPECT_THAT(message_of<Error>([&] { SafetensorsFile file(lay("{}", "", 1'000'000'000)); }), HasSubstr("expected at most 95.4 MiB"));
  std::ofstream(scratch_ / "short.safetensors") << "abc";
  EXPECT_THAT(message_of<Error>([&] { SafetensorsFile file(scratch_ / "short.safetensors"); }), HasSubstr("only 3 bytes"));
  EXPECT_THAT(message_of<Error>([&] { SafetensorsFile file(scratch_ / "none.safetensors"); }), HasSubstr("No such file"));
  // Cut off under an open reader: an error, no crash.
  write_safetensors(scratch_ / "t.safetensors", {{"w", at::zeros({100'000})}});
  const SafetensorsFile file(scratch_ / "t.safetensors");
  std::filesystem::resize_file(scratch_ / "t.safetensors", 5000);
  EXPECT_THAT(message_of<Error>([&] { (void)file.view("w"); }), HasSubstr("only 5000 bytes"));
}

TEST_F(Safetensors, WhatCannotBeWrittenIsRefusedAndTheOldFileStands) {
  const auto path = scratch_ / "t.safetensors";
  write_safetensors(path, {{"w", at::ones({2})}});
  EXPECT_THAT(message_of<Error>([&] { write_safetensors(path, {{"w", at::zeros({2})}, {"w", at::zeros({2})}}); }),
              HasSubstr("each name once"));
  EXPECT_THAT(message_of<Error>([&] { write_safetensors(path, {{"w", at::zeros({2}, at::kComplexDouble)}}); }), HasSubstr("a dtype that"));
  EXPECT_THAT(message_of<Error>([&] { write_safetensors(path, {{"w", at::zeros({2}, at::TensorOptions(at::kMeta))}}); }),
              HasSubstr("no values"));
  EXPECT_TRUE(at::equal(SafetensorsFile(path).view("w"), at::ones({2})));
  EXPECT_THAT(message_of<Error>([&] { write_safetensors(scratch_ / "no" / "t.safetensors", {}); }), HasSubstr("No such file"));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(scratch_.path()), {}), 1);
}

// A header's length may look like the first bytes of a pickle: 0x80 and a protocol.
TEST_F(Safetensors, HeadersOfAnyLengthAreTold) {
  int like_a_pickle = 0;
  for (std::size_t length = 300; length < 1400; length += 8) {
    write_safetensors(scratch_ / "t.safetensors", {{"w", at::ones({2})}}, {{"about", std::string(length, 'x')}});
    like_a_pickle += (std::filesystem::file_size(scratch_ / "t.safetensors") - 8 - 8) % 256 == 0x80;
    EXPECT_TRUE(at::equal(open_weights(scratch_ / "t.safetensors").view("w"), at::ones({2}))) << length;
  }
  EXPECT_GT(like_a_pickle, 2);
}

TEST_F(Safetensors, ShardsAreCutInOrderAndFoundByTheIndex) {
  const NamedTensors tensors{{"e", at::arange(10).to(at::kFloat)}, {"a", at::ones({5})}, {"big", at::ones({30})}, {"z", at::ones({5})}};
  const auto files = write_sharded_safetensors(scratch_.path(), tensors, 60);
  ASSERT_EQ(files.size(), 4u);
  EXPECT_EQ(files[0].filename(), "model-00001-of-00003.safetensors");
  EXPECT_EQ(files[3].filename(), "model.safetensors.index.json");
  {
    const auto weights = open_weights(scratch_.path());
    EXPECT_THAT(weights.names(), testing::ElementsAre("a", "big", "e", "z"));
    EXPECT_EQ(weights.file_of("a")->path(), files[0]);
    EXPECT_EQ(weights.file_of("big")->path(), files[1]);
    auto place = at::zeros({10});
    weights.read_into("e", place);
    EXPECT_TRUE(at::equal(place, tensors[0].second));
    EXPECT_TRUE(at::equal(weights.view("z"), at::ones({5})));
    EXPECT_THAT(message_of<Error>([&] { (void)weights.info("bug"); }), AllOf(HasSubstr("3 shards"), HasSubstr("did you mean 'big'?")));
  }
  // A whole model over it leaves no shard behind.
  std::ofstream(scratch_ / "model-card.safetensors") << "not ours";
  EXPECT_EQ(write_sharded_safetensors(scratch_.path(), tensors, 1000).size(), 1u);
  EXPECT_FALSE(std::filesystem::exists(files[3]) || std::filesystem::exists(files[0]));
  EXPECT_TRUE(std::filesystem::exists(scratch_ / "model-card.safetensors"));
  EXPECT_EQ(open_weights(scratch_.path()).names().size(), 4u);
  EXPECT_EQ(open_weights(scratch_ / "model.safetensors").names().size(), 4u);
}

TEST_F(Safetensors, BrokenIndexesAreRefusedByName) {
  const auto index = scratch_ / "model.safetensors.index.json";
  EXPECT_THAT(message_of<Error>([&] { open_weights(scratch_.path()); }),
              HasSubstr("neither model.safetensors nor model.safetensors.index.json"));
  EXPECT_THAT(message_of<Error>([&] { open_weights(scratch_ / "none"); }), HasSubstr("no such folder"));
  write_safetensors(scratch_ / "s1.safetensors", {{"a", at::ones({2})}});
  write_safetensors(scratch_ / "s2.safetensors", {{"a", at::ones({2})}, {"b", at::ones({2})}});
  const auto error = [&](const std::string& text) {
    std::ofstream(index) << text;
    return outcome_of<Error>([&] { open_weights(scratch_.path()); });
  };
  EXPECT_EQ(error(R"({"weight_map": {"a": "s1.safetensors"}})"), kNoError);
  EXPECT_THAT(error(R"({"weight_map": {"a": "s3.safetensors"}})"), AllOf(HasSubstr("s3.safetensors: no such file"), HasSubstr("for 'a'")));
  EXPECT_THAT(error(R"({"weight_map": {"a": "s1.safetensors", "c": "s1.safetensors"}})"), HasSubstr("'c': it is not in this shard"));
  EXPECT_THAT(error(R"({"weight_map": {"a": "s1.safetensors", "b": "s2.safetensors"}})"), HasSubstr("'a': it is in s1.safetensors too"));
  EXPECT_THAT(error(R"({"weight_map": {"a": "../s1.safetensors"}})"), HasSubstr("the name of a file beside it"));
  EXPECT_THAT(error(R"({"weight_map": 3})"), HasSubstr("no 'weight_map'"));
  EXPECT_THAT(error("{"), AllOf(HasSubstr("index.json"), HasSubstr("expected JSON")));
}

}  // namespace
}  // namespace herd
