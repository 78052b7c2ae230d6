#include "runtime/tensor/hdf5.h"

#include <hdf5.h>
#include <unistd.h>

#include <charconv>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/tensor/dtype.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDtype = "dtype";
constexpr hsize_t kPieceBytes = hsize_t{1} << 20;  // written at a time: within a core's cache

/// An id of the library that closes itself; errors of closing matter for files alone, which are flushed before.
class Id {
 public:
  Id(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  ~Id() {
    if (id_ >= 0) close_(id_);
  }
  Id(Id&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Id& operator=(Id&&) = delete;
  operator hid_t() const { return id_; }
  hid_t release() { return std::exchange(id_, -1); }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

/// To be called before anything else of the library, in every thread.
void keep_quiet() {
  // A file that could not be flushed (a full disk) stays open inside the library, which then crashes when it tidies up at the process's
  // end. All that is whole has been closed by then.
  [[maybe_unused]] static const auto once = H5dont_atexit();
  // By default it prints its error stack; there is one a thread.
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

/// What the library says of the last failed call, the most specific first, and the errno that it met (0: none).
std::pair<std::string, int> last_error() {
  std::vector<std::string> lines;
  const auto collect = [](unsigned, const H5E_error2_t* error, void* to) -> herr_t {
    if (error->desc && *error->desc) static_cast<std::vector<std::string>*>(to)->emplace_back(error->desc);
    return 0;
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, collect, &lines);
  H5Eclear2(H5E_DEFAULT);
  int errno_value = 0;
  for (const auto& line : lines) {
    constexpr std::string_view kErrno = "errno = ";
    if (const auto at = line.find(kErrno); at != std::string::npos)
      std::from_chars(line.data() + at + kErrno.size(), line.data() + line.size(), errno_value);
  }
  return {lines.empty() ? "no reason given" : lines.front(), errno_value};
}

[[noreturn]] void fail(const fs::path& path, const std::string& tried) {
  const auto [reason, errno_value] = last_error();
  if (errno_value != 0) throw io_error(path, tried, errno_value);
  throw IoError({.who = path.string(),
                 .found = tried + " (HDF5: " + reason + ")",
                 .expected = "",
                 .remedy = "the file is cut off or broken: restore it"});
}

/// Passes a result of the library on; a negative one is an error.
template <class Result>
Result check(Result result, const fs::path& path, const std::string& tried) {
  if (result < 0) fail(path, tried);
  return result;
}

/// The type in the file and in memory; -1 for what is not written.
hid_t type_of(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat: return H5T_IEEE_F32LE;
    case at::kDouble: return H5T_IEEE_F64LE;
    case at::kLong: return H5T_STD_I64LE;
    case at::kInt: return H5T_STD_I32LE;
    case at::kShort: return H5T_STD_I16LE;
    case at::kChar: return H5T_STD_I8LE;
    case at::kByte:
    case at::kBool: return H5T_STD_U8LE;
    case at::kBFloat16:
    case at::kHalf:
    case at::kUInt16: return H5T_STD_U16LE;
    case at::kUInt32: return H5T_STD_U32LE;
    case at::kUInt64: return H5T_STD_U64LE;
    default: return -1;
  }
}

void write_text(hid_t owner, const fs::path& path, const std::string& name, const std::string& text) {
  const auto tried = "cannot write attribute '" + name + "'";
  const Id type(check(H5Tcopy(H5T_C_S1), path, tried), H5Tclose), space(check(H5Screate(H5S_SCALAR), path, tried), H5Sclose);
  check(H5Tset_size(type, std::max<std::size_t>(text.size(), 1)), path, tried);  // no type of size 0
  check(H5Tset_strpad(type, H5T_STR_NULLPAD), path, tried);
  check(H5Tset_cset(type, H5T_CSET_UTF8), path, tried);
  const Id attribute(check(H5Acreate2(owner, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT), path, tried), H5Aclose);
  check(H5Awrite(attribute, type, text.c_str()), path, tried);
}

std::string read_text(hid_t owner, const fs::path& path, const std::string& name) {
  const auto tried = "cannot read attribute '" + name + "'";
  const Id attribute(check(H5Aopen(owner, name.c_str(), H5P_DEFAULT), path, tried), H5Aclose);
  const Id type(check(H5Aget_type(attribute), path, tried), H5Tclose), space(check(H5Aget_space(attribute), path, tried), H5Sclose);
  // A broken type or space would have H5Aread write past the text.
  if (H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) != 0 || H5Sget_simple_extent_npoints(space) != 1) fail(path, tried);
  std::string text(H5Tget_size(type), '\0');
  check(H5Aread(attribute, type, text.data()), path, tried);
  while (text.ends_with('\0')) text.pop_back();
  return text;
}

/// Locks would only trouble: one process writes a file, and readers come after the rename. Some parallel file systems have none.
Id access_without_locks(const fs::path& path) {
  Id access(check(H5Pcreate(H5P_FILE_ACCESS), path, "cannot open"), H5Pclose);
#if H5_VERSION_GE(1, 10, 7)
  check(H5Pset_file_locking(access, false, true), path, "cannot open");
#endif
  check(H5Pset_fclose_degree(access, H5F_CLOSE_STRONG), path, "cannot open");
  return access;
}

void need_flat(const Tensor& tensor, const std::string& dataset) {
  if (!tensor.defined() || !tensor.is_contiguous() || !tensor.is_cpu())
    throw ShapeError(
        {.who = dataset, .found = "a tensor that is not laid out flat", .expected = "a contiguous one on the CPU", .remedy = ""});
  if (type_of(tensor.scalar_type()) < 0)
    throw ShapeError(
        {.who = dataset, .found = c10::toString(tensor.scalar_type()), .expected = "a dtype that HDF5 files hold", .remedy = ""});
}

}  // namespace

struct Hdf5Writer::Handle {
  Id id;
};
struct Hdf5Reader::Handle {
  Id id;
};

Hdf5Writer::Hdf5Writer(fs::path path) : path_(std::move(path)) {
  keep_quiet();
  const auto access = access_without_locks(path_);
  file_ = std::make_unique<Handle>(
      Id(check(H5Fcreate(path_.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access), path_, "cannot open to write"), H5Fclose));
}

Hdf5Writer::~Hdf5Writer() {
  keep_quiet();
  file_.reset();
  // What could not be closed holds its room on the disk even once it is removed.
  if (!finished_) [[maybe_unused]]
    const auto failed = truncate(path_.c_str(), 0);
}

void Hdf5Writer::attribute(const std::string& name, const std::string& text) {
  keep_quiet();
  write_text(file_->id, path_, name, text);
}

void Hdf5Writer::write(const std::string& dataset, const Tensor& flat, const std::map<std::string, std::string>& attributes,
                       const OnPiece& on_piece) {
  keep_quiet();
  need_flat(flat, dataset);
  const auto tried = "cannot write dataset '" + dataset + "'";
  const auto type = type_of(flat.scalar_type());
  const auto elements = static_cast<hsize_t>(flat.numel());
  const Id space(check(H5Screate_simple(1, &elements, nullptr), path_, tried), H5Sclose);
  const Id links(check(H5Pcreate(H5P_LINK_CREATE), path_, tried), H5Pclose);
  check(H5Pset_create_intermediate_group(links, 1), path_, tried);
  check(H5Pset_char_encoding(links, H5T_CSET_UTF8), path_, tried);
  const Id id(check(H5Dcreate2(file_->id, dataset.c_str(), type, space, links, H5P_DEFAULT, H5P_DEFAULT), path_, tried), H5Dclose);
  write_text(id, path_, kDtype, std::string(dtype_name(flat.scalar_type())));
  for (const auto& [name, text] : attributes) write_text(id, path_, name, text);
  const auto* bytes = static_cast<const char*>(flat.const_data_ptr());
  const auto width = flat.element_size();
  for (hsize_t begin = 0; begin < elements; begin += kPieceBytes / width) {
    const auto count = std::min<hsize_t>(kPieceBytes / width, elements - begin);
    const auto* piece = bytes + begin * width;
    if (on_piece) on_piece(piece, count * width);
    const Id here(check(H5Screate_simple(1, &count, nullptr), path_, tried), H5Sclose);
    check(H5Sselect_hyperslab(space, H5S_SELECT_SET, &begin, nullptr, &count, nullptr), path_, tried);
    check(H5Dwrite(id, type, here, space, H5P_DEFAULT, piece), path_, tried);
  }
}

void Hdf5Writer::finish() {
  keep_quiet();
  check(H5Fflush(file_->id, H5F_SCOPE_GLOBAL), path_, "cannot write");
  check(H5Fclose(file_->id.release()), path_, "cannot close");
  finished_ = true;
}

Hdf5Reader::Hdf5Reader(fs::path path) : path_(std::move(path)) {
  keep_quiet();
  File(path_, File::Mode::read).close();  // a missing file is told as any other
  const auto access = access_without_locks(path_);
  file_ = std::make_unique<Handle>(Id(check(H5Fopen(path_.c_str(), H5F_ACC_RDONLY, access), path_, "cannot open as HDF5"), H5Fclose));
}

Hdf5Reader::~Hdf5Reader() { keep_quiet(); }

std::string Hdf5Reader::attribute(const std::string& name) const {
  keep_quiet();
  return read_text(file_->id, path_, name);
}

std::vector<std::string> Hdf5Reader::datasets() const {
  keep_quiet();
  std::vector<std::string> names;
  const auto collect = [](hid_t, const char* name, const H5O_info_t* info, void* to) -> herr_t {
    if (info->type == H5O_TYPE_DATASET) static_cast<std::vector<std::string>*>(to)->emplace_back(name);
    return 0;
  };
  check(H5Ovisit2(file_->id, H5_INDEX_NAME, H5_ITER_INC, collect, &names, H5O_INFO_BASIC), path_, "cannot list its datasets");
  std::sort(names.begin(), names.end());
  return names;
}

namespace {

Id open_dataset(hid_t file, const fs::path& path, const std::string& dataset) {
  return {check(H5Dopen2(file, dataset.c_str(), H5P_DEFAULT), path, "cannot read dataset '" + dataset + "'"), H5Dclose};
}

Hdf5Info info_of(hid_t id, const fs::path& path, const std::string& dataset) {
  const auto who = path.string() + ": dataset '" + dataset + "'";
  const auto broken = [&](const std::string& found, const std::string& expected) {
    throw IoError({.who = who, .found = found, .expected = expected, .remedy = "the file is broken: restore it"});
  };
  const auto tried = "cannot read dataset '" + dataset + "'";
  const Id space(check(H5Dget_space(id), path, tried), H5Sclose), type(check(H5Dget_type(id), path, tried), H5Tclose);
  if (H5Sget_simple_extent_ndims(space) != 1) broken(std::to_string(H5Sget_simple_extent_ndims(space)) + " dimensions", "1");
  const auto name = read_text(id, path, kDtype);
  const auto dtype = dtype_from_name(name);
  if (!dtype || type_of(*dtype) < 0 || H5Tequal(type, type_of(*dtype)) <= 0)
    broken("dtype '" + name + "' on another stored type", "the type it is stored as");
  const auto elements = static_cast<std::int64_t>(check(H5Sget_simple_extent_npoints(space), path, tried));
  const auto offset = elements > 0 ? H5Dget_offset(id) : 0;
  if (offset == HADDR_UNDEF) fail(path, tried);
  return {*dtype, elements, offset};
}

}  // namespace

Hdf5Info Hdf5Reader::info(const std::string& dataset) const {
  keep_quiet();
  return info_of(open_dataset(file_->id, path_, dataset), path_, dataset);
}

void Hdf5Reader::read(const std::string& dataset, std::int64_t begin, Tensor destination) const {
  keep_quiet();
  need_flat(destination, dataset);
  const auto tried = "cannot read dataset '" + dataset + "'";
  const auto id = open_dataset(file_->id, path_, dataset);
  const auto info = info_of(id, path_, dataset);
  const auto count = destination.numel();
  if (info.dtype != destination.scalar_type() || begin < 0 || begin > info.elements || count > info.elements - begin)
    throw IoError({.who = path_.string() + ": dataset '" + dataset + "'",
                   .found = std::to_string(info.elements) + " elements of " + std::string(dtype_name(info.dtype)),
                   .expected = std::to_string(begin + count) + " of " + std::string(dtype_name(destination.scalar_type())),
                   .remedy = ""});
  if (count == 0) return;
  const auto start = static_cast<hsize_t>(begin), length = static_cast<hsize_t>(count);
  const Id from(check(H5Dget_space(id), path_, tried), H5Sclose), to(check(H5Screate_simple(1, &length, nullptr), path_, tried), H5Sclose);
  check(H5Sselect_hyperslab(from, H5S_SELECT_SET, &start, nullptr, &length, nullptr), path_, tried);
  check(H5Dread(id, type_of(info.dtype), to, from, H5P_DEFAULT, destination.mutable_data_ptr()), path_, tried);
}

}  // namespace herd
