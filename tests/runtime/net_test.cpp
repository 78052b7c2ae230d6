// What fetching is made of, without a server: names, hashes, the cache's paths. tests/e2e/fetch_test.py has the servers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "runtime/base/digest.h"
#include "runtime/base/file.h"
#include "runtime/net/http.h"
#include "runtime/net/hub_cache.h"
#include "runtime/net/hub_settings.h"
#include "runtime/net/transfer_progress.h"
#include "tests/support/errors.h"
#include "tests/support/scratch.h"

namespace herd {
namespace {

namespace fs = std::filesystem;
using test::message_of;
using test::Scratch;
using testing::HasSubstr;

std::string digest_of(Digest::Kind kind, const std::string& bytes, std::size_t piece) {
  Digest digest(kind);
  for (std::size_t at = 0; at < bytes.size(); at += piece) digest.update(bytes.data() + at, std::min(piece, bytes.size() - at));
  return digest.finish();
}

TEST(Digest, EqualsTheStandardsVectors) {
  // FIPS 180-2, appendices A and B: "abc", and a million times "a".
  EXPECT_EQ(digest_of(Digest::Kind::kSha1, "abc", 1), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(digest_of(Digest::Kind::kSha256, "abc", 2), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(digest_of(Digest::Kind::kSha1, std::string(1000000, 'a'), 997), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
  EXPECT_EQ(digest_of(Digest::Kind::kSha256, std::string(1000000, 'a'), 4096),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(HubRepo, IsWhatTheHubTakesForAnId) {
  const std::map<std::string, std::string> good{{"org/name", "model org/name@main"},
                                                {"a/b", "model a/b@main"},
                                                {"org-1/Name_2.5-7B", "model org-1/Name_2.5-7B@main"},
                                                {"org/name@v1.0", "model org/name@v1.0"},
                                                {"org/name@refs/pr/12", "model org/name@refs/pr/12"}};
  for (const auto& [text, title] : good) {
    const auto repo = parse_hub_repo(text, HubKind::kModel);
    ASSERT_TRUE(repo) << text;
    EXPECT_EQ(repo->title(), title);
  }
  for (const auto* text : {"",       "name", "a/b/c", "/a/b",   "./a",         "../a",    "a/..",    "a/.b", "a/b.", "-a/b",  "a--b/c",
                           "a/b..c", "a/ b", "a/b@",  "a/b@..", "a/b@../../c", "a/b@c d", "a/b@c?d", "a//b", "~/a",  "a/b\n", "C:\\a/b"})
    EXPECT_FALSE(parse_hub_repo(text, HubKind::kModel)) << text;
  EXPECT_FALSE(parse_hub_repo("a/" + std::string(95, 'b'), HubKind::kModel));
  EXPECT_TRUE(parse_hub_repo("a/" + std::string(94, 'b'), HubKind::kModel));
}

TEST(FileNames, StayInsideTheirFolder) {
  for (const auto* name : {"config.json", "a/b/c", ".gitattributes", "..a", "a..", "a b", "数据.json"})
    EXPECT_TRUE(is_file_name(name)) << name;
  for (const auto* name : {"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/..", "a/../b", "./a", "a\\b", "a\tb", "a\x7f"})
    EXPECT_FALSE(is_file_name(name)) << name;
  EXPECT_FALSE(is_file_name(std::string_view("a\0b", 3)));
  EXPECT_TRUE(is_file_name(std::string(255, 'n')));
  EXPECT_FALSE(is_file_name(std::string(256, 'n')));
}

TEST(PercentEncoding, LeavesWhatUrlsHaveFreely) {
  EXPECT_EQ(percent_encoded("refs/pr/1"), "refs%2Fpr%2F1");
  EXPECT_EQ(percent_encoded("a/b c?#%.json", "/"), "a/b%20c%3F%23%25.json");
  EXPECT_EQ(percent_encoded("数"), "%E6%95%B0");
}

/// The environment of one test.
class HubEnvironment : public testing::Test {
 protected:
  static constexpr std::array kNames{"HF_ENDPOINT",  "HF_TOKEN",       "HF_TOKEN_PATH",           "HF_HOME",
                                     "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_HUB_DOWNLOAD_TIMEOUT", "XDG_CACHE_HOME",
                                     "HOME"};
  HubEnvironment() { set({}); }
  void set(const std::map<std::string, std::string>& values) {
    for (const auto* name : kNames) unsetenv(name);
    for (const auto& [name, value] : values) setenv(name.c_str(), value.c_str(), 1);
  }
  std::string refusal(const std::string& name, const std::string& value) {
    set({{name, value}});
    return message_of<ConfigError>([] { hub_settings(); });
  }
};

TEST_F(HubEnvironment, SaysWhereTheCacheIs) {
  const std::vector<std::pair<std::map<std::string, std::string>, std::string>> cases{
      {{{"HOME", "/home/u"}}, "/home/u/.cache/huggingface/hub"}, {{{"HOME", "/home/u"}, {"XDG_CACHE_HOME", "/c"}}, "/c/huggingface/hub"},
      {{{"HF_HOME", "/h"}, {"XDG_CACHE_HOME", "/c"}}, "/h/hub"}, {{{"HF_HOME", "~/h"}, {"HOME", "/home/u"}}, "/home/u/h/hub"},
      {{{"HF_HOME", "/h"}, {"HF_HUB_CACHE", "/x"}}, "/x"},
  };
  for (const auto& [environment, cache] : cases) {
    set(environment);
    EXPECT_EQ(hub_settings().cache, cache);
  }
}

TEST_F(HubEnvironment, SaysWhoAsksWhom) {
  const Scratch scratch;
  write_file_atomically(scratch / "token", " kept\n");
  write_file_atomically(scratch / "elsewhere", "other\n");
  set({{"HF_HOME", scratch.path().string()}});
  EXPECT_EQ(hub_settings().endpoint, "https://huggingface.co");
  EXPECT_EQ(hub_settings().token, "kept");
  EXPECT_FALSE(hub_settings().offline);
  set({{"HF_HOME", scratch.path().string()}, {"HF_TOKEN_PATH", (scratch / "elsewhere").string()}, {"HF_ENDPOINT", "http://mirror:8080/"}});
  EXPECT_EQ(hub_settings().token, "other");
  EXPECT_EQ(hub_settings().endpoint, "http://mirror:8080");
  set({{"HF_HOME", scratch.path().string()}, {"HF_TOKEN", "given"}, {"HF_HUB_OFFLINE", "1"}, {"HF_HUB_DOWNLOAD_TIMEOUT", "30"}});
  EXPECT_EQ(hub_settings().token, "given");
  EXPECT_TRUE(hub_settings().offline);
  EXPECT_EQ(hub_settings().timeout_s, 30);
  EXPECT_THAT(refusal("HF_TOKEN", "a\nHost: b"), HasSubstr("expected one word"));
  EXPECT_THAT(refusal("HF_ENDPOINT", "ftp://x"), HasSubstr("https://"));
  for (const auto* value : {"soon", "0", "-1", "1s"}) EXPECT_THAT(refusal("HF_HUB_DOWNLOAD_TIMEOUT", value), HasSubstr("seconds"));
}

TEST(HubCache, KnowsARevisionByItsSnapshot) {
  const Scratch scratch;
  const std::string commit(40, 'a'), etag(64, 'e');
  const HubRepo repo{.name = "org/name"};
  const HubCache cache(scratch.path(), repo);
  EXPECT_EQ(cache.commit_of("main"), std::nullopt);
  cache.make_folders();
  cache.remember("main", commit);
  EXPECT_EQ(cache.commit_of("main"), std::nullopt) << "a commit without a snapshot";
  write_file_atomically(cache.blob(etag), "content");
  cache.link(commit, "deep/er/file", etag);
  cache.link(commit, "deep/er/file", etag);  // twice is once
  EXPECT_EQ(read_file(cache.snapshot(commit) / "deep/er/file"), "content");
  EXPECT_EQ(fs::read_symlink(cache.snapshot(commit) / "deep/er/file"), "../../../../blobs/" + etag);
  EXPECT_EQ(cache.commit_of("main"), commit);
  EXPECT_EQ(cache.commit_of(commit), commit);
  write_file_atomically(scratch / "models--org--name/refs/main", "../../x");
  EXPECT_THAT(message_of<IoError>([&] { cache.commit_of("main"); }), HasSubstr("expected a commit"));
}

TEST(HubName, IsReadOffASnapshot) {
  const auto snapshot = "/cache/hub/models--org--name/snapshots/" + std::string(40, '0');
  EXPECT_EQ(hub_name(snapshot), "org/name");
  EXPECT_EQ(hub_name(snapshot + "/"), "org/name");
  for (const auto* other : {"/models/llama-7b", "org/name", "", "models--org--name/snapshots/x",
                            "/cache/models--name/snapshots/0000000000000000000000000000000000000000"})
    EXPECT_EQ(hub_name(other), other);
}

TEST(TransferLine, FitsItsColumns) {
  EXPECT_EQ(render_transfer(std::uint64_t{4} << 30, std::uint64_t{1} << 30, 512 << 20, "model.safetensors", 80),
            "25% of 4 GiB  512 MiB/s  eta 0:06  model.safetensors");
  EXPECT_EQ(render_transfer(0, 0, 0, "empty", 80), "100% of 0 B  0 B/s  eta ?  empty");
  EXPECT_EQ(render_transfer(100, 50, 10, std::string(200, 'n'), 40).size(), 40u);
}

}  // namespace
}  // namespace herd
