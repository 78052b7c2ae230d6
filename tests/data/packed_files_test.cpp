// Packed and long files, and threads: they change nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <chrono>
#include <iostream>

#include "data/readers/reader.h"
#include "tests/data/record_files.h"
#include "tests/data/toy_records.h"

namespace herd {
namespace {

using test::line;
using test::RecordFiles;
using testing::AllOf;
using testing::HasSubstr;

std::string gzip(std::string_view text) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string zstd(std::string_view text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

/// Lines that do not pack to nothing.
std::string lines(int from, int to) {
  std::string out;
  for (int i = from; i < to; ++i)
    out += line("question " + std::to_string(i * 7919L % 10007),
                "answer\n\\\"" + std::to_string(1L * i * i) + std::string(static_cast<std::size_t>(i % 300), 'x'));
  return out;
}

class Packed : public RecordFiles, public testing::WithParamInterface<std::pair<const char*, std::string (*)(std::string_view)>> {
 protected:
  std::string packed(std::string_view text) const { return GetParam().second(text); }
};

TEST_P(Packed, ReadsAsItsText) {
  const auto text = lines(0, 5000);
  const auto expected = records(text);
  ASSERT_EQ(expected.size(), 5000u);
  EXPECT_EQ(records(packed(text), "no-ending-tells"), expected);
  EXPECT_EQ(records(packed("[" + line("a", "b") + "]"), "a.json.packed").size(), 1u);
  EXPECT_EQ(records(packed(lines(0, 2000)) + packed(lines(2000, 2003)) + packed("") + packed(lines(2003, 5000)), "several.jsonl"),
            expected);
  EXPECT_EQ(records(packed("\xef\xbb\xbfone\ntwo\n"), "a.txt.gz").size(), 2u);
  EXPECT_THAT(complaint(packed("")), HasSubstr("no records"));
}

TEST_P(Packed, CutShortIsAnError) {
  const auto whole = packed(lines(0, 5000));
  for (const auto kept : {whole.size() - 1, whole.size() / 2, whole.size() / 10, std::size_t{12}, std::size_t{6}})
    EXPECT_THAT(complaint(whole.substr(0, kept)), AllOf(HasSubstr("bad.json: "), HasSubstr("cut short"), HasSubstr(GetParam().first)))
        << kept;
  EXPECT_THAT(complaint(whole + whole.substr(0, whole.size() / 2)), HasSubstr("cut short"));
  EXPECT_THAT(complaint(whole.substr(0, whole.size() / 2), "bad.json", {.broken = Broken::kSkip}), HasSubstr("cut short"));
}

TEST_P(Packed, BrokenIsAnError) {
  auto text = packed(lines(0, 5000));
  text[text.size() / 2] = static_cast<char>(text[text.size() / 2] ^ 0x55);
  text[text.size() / 2 + 1] = static_cast<char>(text[text.size() / 2 + 1] ^ 0x55);
  EXPECT_THAT(test::message_of<DataError>([&] { read(file("bad.json", text), {.broken = Broken::kSkip}); }),
              testing::AnyOf(HasSubstr("broken"), HasSubstr("cut short")));
  EXPECT_THAT(complaint(packed(lines(0, 10)) + "and more"), AllOf(HasSubstr("broken"), HasSubstr(GetParam().first)));
}

INSTANTIATE_TEST_SUITE_P(Kinds, Packed, testing::Values(std::pair{"gzip", &gzip}, std::pair{"zstd", &zstd}),
                         [](const auto& info) { return info.param.first; });

using Long = RecordFiles;

TEST_F(Long, ZerosMayFillAGzipFileUp) { EXPECT_EQ(records(gzip(line("a", "b")) + std::string(512, '\0')).size(), 1u); }

TEST_F(Long, ARecordOfFiftyMegabytes) {
  const std::string answer(50 << 20, 'a'), text = line("before", "x") + line("long", answer) + line("after", "y");
  for (const auto& whole : {text, "[" + line("before", "x") + "," + line("long", answer) + ",\n" + line("after", "y") + "]"}) {
    const auto read = records(whole);
    ASSERT_EQ(read.size(), 3u);
    EXPECT_TRUE(read[1].turns[1].text == answer);
    EXPECT_EQ(read[2].turns[0].text, "after");
  }
}

TEST_F(Long, StringsThatCrossThePiecesOfAFile) {
  // Escapes, brackets and quotes at every distance from where a piece of the file ends.
  const std::string tricky = "}{][,\\\"\\\\\n答";
  for (int shift = 0; shift < 24; ++shift) {
    std::string text = "[" + line("pad", std::string(static_cast<std::size_t>((1 << 20) - 90 + shift), 'p')) + "," + line(tricky, "}") +
                       "," + line("z", "z") + "]";
    const auto read = records(text);
    ASSERT_EQ(read.size(), 3u) << shift;
    EXPECT_EQ(read[1], instruction_record(tricky, "", "}")) << shift;
  }
}

TEST_F(Long, ThreadsAndBlocksChangeNothing) {
  const auto first = file("a.json", lines(0, 3000)), second = file("b.json", "[" + line("x", "y") + "," + line("z", "z") + "]"),
             third = file("c.txt", "one\ntwo\n");
  const auto with = [&](std::int64_t block, int threads) {
    RecordReader reader({first, second, third});
    std::vector<Record> out;
    for (auto part = reader.next(block, threads); !part.empty(); part = reader.next(block, threads)) {
      EXPECT_LE(std::ssize(part), block);
      out.insert(out.end(), part.begin(), part.end());
    }
    EXPECT_EQ(reader.report().records, std::ssize(out));
    return out;
  };
  const auto expected = with(1 << 20, 1);
  ASSERT_EQ(expected.size(), 3004u);
  EXPECT_EQ(expected[3001].source, (Source{1, 2, 2}));
  for (const auto block : {1, 7, 1000, 1 << 20})
    for (const auto threads : {1, 3, 8}) EXPECT_EQ(with(block, threads), expected) << block << " " << threads;
}

TEST_F(Long, WhatStandsBeforeAnErrorIsGivenOut) {
  RecordReader reader({file("a.json", lines(0, 10) + "oops\n" + lines(0, 5))});
  EXPECT_EQ(reader.next(100).size(), 10u);
  for (int again = 0; again < 2; ++again)
    EXPECT_THAT(test::message_of<DataError>([&] { reader.next(100); }), HasSubstr("a.json:11 (record 11)"));
}

TEST_F(Long, SaysHowFastItReads) {
  const auto text = lines(0, 100'000);
  const auto path = file("a.json", text);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(read(path).records.size(), 100'000u);
  const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::cout << "[ SPEED    ] " << static_cast<double>(text.size()) / 1e6 / seconds << " MB/s, " << 1e5 / seconds << " records/s\n";
}

}  // namespace
}  // namespace herd
