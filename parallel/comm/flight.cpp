#include "parallel/comm/flight.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <memory>
#include <new>

#include "runtime/base/error.h"

namespace herd {
namespace {

constexpr std::uint64_t kMagic = 0x3174686769666c64ull;  // "dlfight1", the version last
constexpr std::size_t kRecords = 256;

std::int64_t wall_clock_us() {
  using namespace std::chrono;
  return duration_cast<microseconds>(system_clock::now().time_since_epoch()).count();
}

template <std::size_t size>
void put(char (&field)[size], std::string_view text) {
  const auto length = std::min(text.size(), size - 1);
  std::memcpy(field, text.data(), length);
  std::memset(field + length, 0, size - length);
}

}  // namespace

struct FlightLog::Page {
  std::uint64_t magic;
  std::int32_t rank, size;
  std::uint64_t entered;  // operations so far
  char activity[232];
  FlightRecord records[kRecords];
};

FlightLog::FlightLog(int rank, int size) {
  void* memory = mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw IoError({.who = "flight log", .found = std::strerror(errno), .expected = "memory"});
  page_ = new (memory) Page{.magic = kMagic, .rank = rank, .size = size, .entered = 0, .activity = {}, .records = {}};
}

FlightLog::~FlightLog() { munmap(page_, sizeof(Page)); }

void FlightLog::attach(const std::filesystem::path& file) {
  auto fail = [&](const char* what) {
    const std::string found = std::string(what) + ": " + std::strerror(errno);
    throw IoError({.who = "flight log " + file.string(), .found = found, .expected = "a file that can be written"});
  };
  const int handle = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (handle < 0) fail("open");
  // Allocated, not sparse: on a full disk a hole would end the process with SIGBUS at some later write.
  const int full = posix_fallocate(handle, 0, sizeof(Page));
  void* memory = full ? MAP_FAILED : mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED, handle, 0);
  if (full) errno = full;
  close(handle);
  if (memory == MAP_FAILED) fail("map");
  std::lock_guard lock(mutex_);
  std::memcpy(memory, page_, sizeof(Page));
  munmap(page_, sizeof(Page));
  page_ = static_cast<Page*>(memory);
}

std::uint64_t FlightLog::enter(std::uint64_t sequence, std::uint64_t bytes, std::string_view text) {
  std::lock_guard lock(mutex_);
  const auto number = ++page_->entered;
  auto& record = page_->records[number % kRecords];
  record = {.number = number, .sequence = sequence, .bytes = bytes, .entered_us = wall_clock_us(), .state = FlightRecord::kUnderWay};
  put(record.text, text);
  return number;
}

void FlightLog::leave(std::uint64_t slot, bool failed) {
  std::lock_guard lock(mutex_);
  auto& record = page_->records[slot % kRecords];
  if (record.number != slot) return;  // the ring has gone round
  record.left_us = wall_clock_us();
  record.state = failed ? FlightRecord::kFailed : FlightRecord::kDone;
}

void FlightLog::note(std::string_view activity) {
  std::lock_guard lock(mutex_);
  put(page_->activity, activity);
}

std::string FlightLog::activity() const {
  std::lock_guard lock(mutex_);
  return page_->activity;
}

Flight read_flight(const std::filesystem::path& file) {
  auto page = std::make_unique<FlightLog::Page>();
  std::ifstream stream(file, std::ios::binary);
  if (!stream.read(reinterpret_cast<char*>(page.get()), sizeof(*page)) || page->magic != kMagic) {
    throw IoError({.who = file.string(), .found = stream ? "other content" : "a missing or short file", .expected = "a flight log"});
  }
  // Whatever a damaged file holds, texts end within their fields.
  page->activity[sizeof page->activity - 1] = '\0';
  for (auto& record : page->records) record.text[sizeof record.text - 1] = '\0';
  Flight flight{.rank = page->rank, .size = page->size, .activity = page->activity, .records = {}};
  for (const auto& record : page->records)
    if (record.state != FlightRecord::kEmpty) flight.records.push_back(record);
  std::sort(flight.records.begin(), flight.records.end(), [](const auto& a, const auto& b) { return a.number < b.number; });
  return flight;
}

}  // namespace herd
