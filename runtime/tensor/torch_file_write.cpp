#include "runtime/tensor/dtype.h"
#include "runtime/tensor/pickle_calls.h"
#include "runtime/tensor/torch_file.h"
#include "runtime/tensor/zip.h"

namespace herd {
namespace {

/// A pickle of protocol 2, put down operation by operation.
class PickleText {
 public:
  PickleText() : text_("\x80\x02") {}
  PickleText& op(char letter) { return text_ += letter, *this; }
  PickleText& global(const std::string& module, const std::string& name) { return text_ += "c" + module + "\n" + name + "\n", *this; }
  PickleText& string(const std::string& value) { return op('X').raw(static_cast<std::uint32_t>(value.size())).text(value); }
  PickleText& number(std::int64_t value) { return text_ += "\x8a\x08", raw(value); }
  PickleText& numbers(at::IntArrayRef values) {
    op('(');
    for (const auto value : values) number(value);
    return op('t');
  }
  const std::string& text() const { return text_; }

 private:
  template <class T>
  PickleText& raw(T value) {
    return text_.append(reinterpret_cast<const char*>(&value), sizeof value), *this;
  }
  PickleText& text(const std::string& value) { return text_ += value, *this; }
  std::string text_;
};

/// name: torch._utils._rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict())
void put(PickleText& pickle, const TensorToWrite& tensor, std::size_t key) {
  const auto elements = c10::multiply_integers(tensor.shape);
  pickle.string(tensor.name).global("torch._utils", "_rebuild_tensor_v2").op('(').op('(');
  pickle.string("storage").global("torch", storage_name(tensor.dtype)).string(std::to_string(key)).string("cpu").number(elements);
  pickle.op('t').op('Q').number(0).numbers(tensor.shape).numbers(c10::contiguous_strides(tensor.shape));
  pickle.op('\x89').global("collections", "OrderedDict").op(')').op('R').op('t').op('R');
}

std::string pickle_of(const std::vector<TensorToWrite>& tensors) {
  PickleText pickle;
  pickle.op('}').op('(');
  for (std::size_t i = 0; i < tensors.size(); ++i) put(pickle, tensors[i], i);
  return pickle.op('u').op('.').text();
}

}  // namespace

void stream_torch_file(const std::filesystem::path& path, const std::vector<TensorToWrite>& tensors) {
  check_writable(path, tensors);
  for (const auto& tensor : tensors)
    if (storage_name(tensor.dtype).empty())
      throw ShapeError({.who = path.string() + ": tensor '" + tensor.name + "'",
                        .found = std::string(dtype_name(tensor.dtype)),
                        .expected = "a dtype that PyTorch has storages of",
                        .remedy = ""});
  const auto folder = path.stem().string() + "/";
  write_file_atomically(path, [&](File& file) {
    ZipWriter archive(file);
    archive.add(folder + "data.pkl", pickle_of(tensors));
    archive.add(folder + "byteorder", "little");
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      archive.add(folder + "data/" + std::to_string(i), tensors[i].bytes(), [&](const ZipWriter::Write& write) {
        tensors[i].values([&](const Tensor& piece) { write({static_cast<const char*>(piece.const_data_ptr()), piece.nbytes()}); });
      });
    }
    archive.add(folder + "version", "3\n");
    archive.finish();
  });
}

}  // namespace herd
