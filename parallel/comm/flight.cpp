#include "parallel/comm/flight.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <new>

#include "runtime/base/error.h"
#include "runtime/base/process.h"

namespace herd {
namespace {

constexpr std::uint64_t kMagic = 0x3274686769666c64ull;  // "dlfight2", the version last

constexpr std::int64_t kSilenceUs = 1'000'000;

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
  std::int32_t rank, size, process;
  std::uint64_t entered;  // operations so far
  std::int64_t alive_us, silent_us, silent_until_us, activity_us;
  char host[64];
  char activity[232];
  FlightRecord records[kRecords];
};

FlightLog::FlightLog(int rank, int size) {
  void* memory = mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw IoError({.who = "flight log", .found = std::strerror(errno), .expected = "memory"});
  page_ = new (memory) Page{.magic = kMagic, .rank = rank, .size = size, .process = getpid(), .entered = 0, .alive_us = 0, .silent_us = 0,
                            .silent_until_us = 0, .activity_us = 0,
                            .host = {}, .activity = {}, .records = {}};
  put(page_->host, host_name());
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

std::uint64_t FlightLog::enter(std::string_view group, std::uint64_t sequence, std::uint64_t bytes, std::string_view text,
                               std::chrono::steady_clock::time_point deadline) {
  std::lock_guard lock(mutex_);
  const auto number = ++page_->entered;
  auto& record = page_->records[number % kRecords];
  record = {.number = number, .sequence = sequence, .bytes = bytes, .entered_us = wall_clock_us(), .state = FlightRecord::kUnderWay};
  put(record.group, group);
  put(record.text, text);
  deadlines_[number % kRecords] = deadline;
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
  page_->activity_us = wall_clock_us();
}

void FlightLog::alive() {
  std::lock_guard lock(mutex_);
  const auto now = wall_clock_us();
  if (page_->alive_us && now - page_->alive_us > kSilenceUs) page_->silent_us = now - page_->alive_us, page_->silent_until_us = now;
  page_->alive_us = now;
}

void FlightLog::add_wait(double seconds) {
  std::lock_guard lock(mutex_);
  waited_s_ += seconds;
}

double FlightLog::waited_s() const {
  std::lock_guard lock(mutex_);
  return waited_s_;
}

void FlightLog::fail(const std::string& cause) {
  std::lock_guard lock(mutex_);
  if (!failure_) failure_ = cause;
}

std::optional<std::string> FlightLog::failure() const {
  std::lock_guard lock(mutex_);
  return failure_;
}

std::optional<std::string> FlightLog::overdue(std::chrono::steady_clock::duration grace) const {
  std::lock_guard lock(mutex_);
  const auto now = std::chrono::steady_clock::now();
  for (const auto& record : page_->records)
    if (record.state == FlightRecord::kUnderWay && deadlines_[record.number % kRecords] + grace < now)
      return std::string(record.text) + " #" + std::to_string(record.sequence) + " of " + record.group;
  return std::nullopt;
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
  page->host[sizeof page->host - 1] = page->activity[sizeof page->activity - 1] = '\0';
  for (auto& record : page->records) record.group[sizeof record.group - 1] = record.text[sizeof record.text - 1] = '\0';
  Flight flight{.rank = page->rank, .size = page->size, .process = page->process, .host = page->host, .alive_us = page->alive_us,
                .silent_us = page->silent_us, .silent_until_us = page->silent_until_us,
                .activity = page->activity, .activity_us = page->activity_us, .records = {}};
  for (const auto& record : page->records)
    if (record.state != FlightRecord::kEmpty) flight.records.push_back(record);
  std::sort(flight.records.begin(), flight.records.end(), [](const auto& a, const auto& b) { return a.number < b.number; });
  return flight;
}

}  // namespace herd
