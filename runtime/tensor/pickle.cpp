#include "runtime/tensor/pickle.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <map>

#include "runtime/base/error.h"
#include "runtime/tensor/pickle_calls.h"

namespace herd {
namespace {

// Protocol 5 and below, of pickletools.py; the letters are the format's.
enum class Op : unsigned char {
  kMark = '(', kStop = '.', kPop = '0', kPopMark = '1', kDup = '2', kBinFloat = 'G', kBinInt = 'J', kBinInt1 = 'K', kBinInt2 = 'M',
  kNone = 'N', kBinPersId = 'Q', kReduce = 'R', kBinUnicode = 'X', kAppend = 'a', kBuild = 'b', kGlobal = 'c', kAppends = 'e', kBinGet = 'h',
  kLongBinGet = 'j', kBinPut = 'q', kLongBinPut = 'r', kSetItem = 's', kTuple = 't', kSetItems = 'u', kEmptyList = ']', kEmptyDict = '}',
  kEmptyTuple = ')', kProto = 0x80, kTuple1 = 0x85, kTuple2 = 0x86, kTuple3 = 0x87, kTrue = 0x88, kFalse = 0x89, kLong1 = 0x8a,
  kShortUnicode = 0x8c, kUnicode8 = 0x8d, kStackGlobal = 0x93, kMemoize = 0x94, kFrame = 0x95,
};

class Machine {
 public:
  Machine(std::string_view bytes, const std::string& who, std::pmr::memory_resource& tuples, std::deque<Pickled>& values)
      : rest_(bytes), who_(who), tuples_(tuples), values_(values) {}

  PickledRef run() {
    for (;;) {
      const auto op = static_cast<Op>(take<unsigned char>());
      if (op == Op::kStop) return pop();
      step(op);
    }
  }

 private:
  [[noreturn]] void fail(const std::string& found) const {
    throw IoError({.who = who_, .found = found, .expected = "a pickle of tensors", .remedy = "the file is broken: download or write it again"});
  }

  std::string_view take_bytes(std::uint64_t count) {
    if (count > rest_.size()) fail("a pickle that is cut off");
    const auto bytes = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return bytes;
  }
  template <class T>
  T take() {
    T value{};
    std::memcpy(&value, take_bytes(sizeof value).data(), sizeof value);
    return value;
  }
  std::string_view line() {
    const auto end = rest_.find('\n');
    if (end == std::string_view::npos) fail("a pickle that is cut off");
    const auto text = take_bytes(end);
    take_bytes(1);
    return text;
  }

  void push(Pickled value) { stack_.push_back(&values_.emplace_back(std::move(value))); }
  // What lies under a mark is out of reach until the mark is gone.
  Pickled* pop() {
    if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) fail("an operation without its operands");
    auto* value = stack_.back();
    stack_.pop_back();
    return value;
  }
  Pickled* top() {
    auto* value = pop();
    stack_.push_back(value);
    return value;
  }
  std::vector<PickledRef> pop_to_mark() {
    if (marks_.empty()) fail("an operation without its mark");
    std::vector<PickledRef> items(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }
  void push_tuple(std::span<const PickledRef> items) {
    auto* kept = static_cast<PickledRef*>(tuples_.allocate(items.size_bytes(), alignof(PickledRef)));
    std::copy(items.begin(), items.end(), kept);
    push({PickledTuple{{kept, items.size()}}});
  }
  template <std::size_t Count>
  void push_tuple_of() {
    std::array<PickledRef, Count> items;
    for (auto i = Count; i-- > 0;) items[i] = pop();
    push_tuple(items);
  }
  template <class T>
  T& top_as(const char* kind) {
    auto* value = std::get_if<T>(&top()->value);
    if (!value) fail(fmt::format("items for what is no {}", kind));
    return *value;
  }
  void set_items(std::span<const PickledRef> items) {
    if (items.size() % 2 != 0) fail("a key without its value");
    auto& dict = top_as<PickledDict>("dict").items;
    for (std::size_t i = 0; i < items.size(); i += 2) dict.emplace_back(items[i], items[i + 1]);
  }

  void global(std::string_view module, std::string_view of_module) {
    const auto name = known_global(module, of_module);
    if (name.empty())
      throw IoError({.who = who_,
                     .found = fmt::format("a call or class that no tensor needs: '{}.{}'", shortened(module), shortened(of_module)),
                     .expected = "tensors in dicts alone",
                     .remedy = "nothing of it has been run. Where you trust who wrote the file, load it in Python and save its state_dict alone"});
    push({PickledGlobal{name}});
  }
  void stack_global() {
    const auto *name = pop()->get<std::string_view>(), *module = pop()->get<std::string_view>();
    if (!name || !module) fail("a global that is no text");
    global(*module, *name);
  }
  void reduce() {
    const auto* arguments = pop()->get<PickledTuple>();
    const auto* callee = pop()->get<PickledGlobal>();
    if (!callee || !arguments) fail("a call of what is no function");
    push(pickled_call(callee->name, *arguments, who_));
  }
  // torch gives a state_dict the attribute _metadata; nothing here has any other.
  void build() {
    pop();
    top_as<PickledDict>("dict");
  }

  void get(std::uint32_t index) {
    const auto found = memo_.find(index);
    if (found == memo_.end()) fail("a value that was never kept");
    stack_.push_back(found->second);
  }
  void put(std::uint32_t index) { memo_[index] = top(); }

  void long1() {
    const auto bytes = take_bytes(take<std::uint8_t>());
    if (bytes.size() > sizeof(std::int64_t)) return push({});
    std::int64_t value = !bytes.empty() && (bytes.back() & 0x80) != 0 ? -1 : 0;
    std::memcpy(&value, bytes.data(), bytes.size());
    push({value});
  }
  void big_endian_float() {
    push({std::bit_cast<double>(__builtin_bswap64(take<std::uint64_t>()))});
  }

  void step(Op op) {
    switch (op) {
      case Op::kProto: take<std::uint8_t>(); break;
      case Op::kFrame: take<std::uint64_t>(); break;
      case Op::kMark: marks_.push_back(stack_.size()); break;
      case Op::kPop: pop(); break;
      case Op::kPopMark: pop_to_mark(); break;
      case Op::kDup: stack_.push_back(top()); break;
      case Op::kNone: push({}); break;
      case Op::kTrue: push({true}); break;
      case Op::kFalse: push({false}); break;
      case Op::kBinInt: push({std::int64_t{take<std::int32_t>()}}); break;
      case Op::kBinInt1: push({std::int64_t{take<std::uint8_t>()}}); break;
      case Op::kBinInt2: push({std::int64_t{take<std::uint16_t>()}}); break;
      case Op::kLong1: long1(); break;
      case Op::kBinFloat: big_endian_float(); break;
      case Op::kShortUnicode: push({take_bytes(take<std::uint8_t>())}); break;
      case Op::kBinUnicode: push({take_bytes(take<std::uint32_t>())}); break;
      case Op::kUnicode8: push({take_bytes(take<std::uint64_t>())}); break;
      case Op::kEmptyTuple: push({PickledTuple{}}); break;
      case Op::kEmptyList: push({PickledList{}}); break;
      case Op::kEmptyDict: push({PickledDict{}}); break;
      case Op::kTuple: push_tuple(pop_to_mark()); break;
      case Op::kTuple1: push_tuple_of<1>(); break;
      case Op::kTuple2: push_tuple_of<2>(); break;
      case Op::kTuple3: push_tuple_of<3>(); break;
      case Op::kAppend: append(std::array<PickledRef, 1>{pop()}); break;
      case Op::kAppends: append(pop_to_mark()); break;
      case Op::kSetItem: set_item(); break;
      case Op::kSetItems: set_items(pop_to_mark()); break;
      case Op::kBinGet: get(take<std::uint8_t>()); break;
      case Op::kLongBinGet: get(take<std::uint32_t>()); break;
      case Op::kBinPut: put(take<std::uint8_t>()); break;
      case Op::kLongBinPut: put(take<std::uint32_t>()); break;
      case Op::kMemoize: put(static_cast<std::uint32_t>(memo_.size())); break;
      case Op::kGlobal: two_lines(); break;
      case Op::kStackGlobal: stack_global(); break;
      case Op::kReduce: reduce(); break;
      case Op::kBuild: build(); break;
      case Op::kBinPersId: push(pickled_storage(*pop(), who_)); break;
      default: fail(fmt::format("operation {:#04x}, which no tensor needs", static_cast<unsigned>(op)));
    }
  }

  void append(std::span<const PickledRef> items) {
    auto& list = top_as<PickledList>("list").items;
    list.insert(list.end(), items.begin(), items.end());
  }
  void set_item() {
    const PickledRef value = pop(), key = pop();
    set_items(std::array{key, value});
  }
  void two_lines() {
    const auto module = line();
    global(module, line());
  }

  std::string_view rest_;
  const std::string& who_;
  std::pmr::memory_resource& tuples_;
  std::deque<Pickled>& values_;
  std::vector<Pickled*> stack_;
  std::vector<std::size_t> marks_;
  std::map<std::uint32_t, Pickled*> memo_;  // ordered: a hostile file chooses the numbers
};

}  // namespace

std::string shortened(std::string_view text) {
  constexpr std::size_t kShown = 100;
  if (text.size() <= kShown) return std::string(text);
  auto end = kShown;
  while (end > 0 && (text[end] & 0xc0) == 0x80) --end;  // not within a character of UTF-8
  return std::string(text.substr(0, end)) + "…";
}

Pickle::Pickle(std::string bytes, const std::string& who) : bytes_(std::move(bytes)), root_(Machine(bytes_, who, tuples_, values_).run()) {}

}  // namespace herd
