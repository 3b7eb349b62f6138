// A STAND-IN for the native part of torch-directml, for tests only: see README.md. Its device is ordinary memory under
// torch's own key PrivateUse1, so that torch itself dispatches, refuses and prints as it does for a real card.
// Which fault is on is told by torch_directml/__init__.py; the faults are rows of torch_directml/faults.json.

#include <ATen/EmptyTensor.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/ops/add.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/view_native.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <c10/core/impl/alloc_cpu.h>
#include <torch/library.h>

#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>

namespace {

constexpr auto KEY = c10::DispatchKey::PrivateUse1;
constexpr auto TYPE = c10::DeviceType::PrivateUse1;
// The article's program adds ten values. Whoever adds more than this measures.
constexpr int64_t MANY = 1000;

int devices = 0;
bool float64 = true;
thread_local c10::DeviceIndex current = 0;

// --- the fault ------------------------------------------------------------------------------------------------------

struct Fault {
  std::string places, kind, text, to_stdout, to_stderr;
} fault;

bool strikes(const char* place) {
  return ("," + fault.places + ",").find("," + std::string(place) + ",") != std::string::npos;
}

// As a driver writes: to the descriptor, past every buffer.
void write_all(int descriptor, const std::string& text) {
  for (size_t done = 0; done < text.size();) {
    const ssize_t written = write(descriptor, text.data() + done, text.size() - done);
    if (written <= 0) return;
    done += static_cast<size_t>(written);
  }
}

int* volatile nowhere = nullptr;

[[noreturn]] void segfault() {
  for (;;) *static_cast<volatile int*>(nowhere) = 1;
}

// True where the caller shall raise the fault's text. It may also not come back.
bool reached(const char* place) {
  if (!strikes(place)) return false;
  write_all(STDOUT_FILENO, fault.to_stdout);
  write_all(STDERR_FILENO, fault.to_stderr);
  if (fault.kind == "segfault") segfault();
  if (fault.kind == "abort") std::abort();
  while (fault.kind == "hang") pause();
  return fault.kind == "raise";
}

void reach(const char* place, size_t bytes = 0) {
  if (reached(place)) {
    std::string text = fault.text;
    const size_t at = text.find("{bytes}");
    if (at != std::string::npos) text.replace(at, std::strlen("{bytes}"), std::to_string(bytes));
    throw std::runtime_error(text);
  }
  if (strikes(place) && fault.kind == "warn") TORCH_WARN(fault.text);
}

// --- memory ---------------------------------------------------------------------------------------------------------

struct Memory final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    if (devices == 0) segfault();  // so does the real one
    reach("copy", bytes);
    void* data = c10::alloc_cpu(bytes);
    return {data, data, &c10::free_cpu, c10::Device(TYPE, current)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &c10::free_cpu; }
  void copy_data(void* to, const void* from, size_t bytes) const override { default_copy_data(to, from, bytes); }
} memory;

struct Selected {
  explicit Selected(std::optional<c10::Device> wanted) : before(current) {
    if (wanted && wanted->has_index()) current = wanted->index();
    if (devices > 0 && current >= devices) {
      const auto index = std::to_string(current);
      current = before;
      throw std::runtime_error("the stand-in has no device privateuseone:" + index);
    }
  }
  ~Selected() { current = before; }
  c10::DeviceIndex before;
};

void refuse(c10::ScalarType type) {
  if (c10::isComplexType(type) || type == c10::kBFloat16) {
    write_all(STDERR_FILENO, std::string("[F dml_util.cc:118] Invalid or unsupported data type ") + c10::toString(type) + ".\n");
    std::abort();
  }
  if (type == c10::kDouble && !float64)
    throw std::runtime_error("The GPU device does not support Double (Float64) operations!");
}

// The same memory as the CPU sees it.
at::Tensor host(const at::Tensor& tensor) {
  if (tensor.device().type() != TYPE) return tensor;
  return at::from_blob(
      tensor.data_ptr(), tensor.sizes(), tensor.strides(), at::TensorOptions().dtype(tensor.scalar_type()));
}

// --- torch's operators ----------------------------------------------------------------------------------------------

at::Tensor empty(
    c10::SymIntArrayRef size, std::optional<c10::ScalarType> dtype, std::optional<c10::Layout>,
    std::optional<c10::Device> device, std::optional<bool>, std::optional<c10::MemoryFormat> format) {
  const auto type = c10::dtype_or_default(dtype);
  refuse(type);
  const Selected selected(device);
  return at::detail::empty_generic(C10_AS_INTARRAYREF_SLOW(size), &memory, c10::DispatchKeySet(KEY), type, format);
}

at::Tensor empty_strided(
    c10::SymIntArrayRef size, c10::SymIntArrayRef stride, std::optional<c10::ScalarType> dtype,
    std::optional<c10::Layout>, std::optional<c10::Device> device, std::optional<bool>) {
  const auto type = c10::dtype_or_default(dtype);
  refuse(type);
  const Selected selected(device);
  return at::detail::empty_strided_generic(
      C10_AS_INTARRAYREF_SLOW(size), C10_AS_INTARRAYREF_SLOW(stride), &memory, c10::DispatchKeySet(KEY), type);
}

const at::Tensor& resize(
    const at::Tensor& self, c10::SymIntArrayRef size, std::optional<c10::MemoryFormat>) {
  auto* tensor = self.unsafeGetTensorImpl();
  tensor->set_sizes_contiguous(C10_AS_INTARRAYREF_SLOW(size));
  auto storage = tensor->unsafe_storage();
  const size_t needed = (tensor->storage_offset() + tensor->numel()) * tensor->itemsize();
  if (needed > storage.nbytes()) {
    const Selected selected(self.device());
    auto larger = memory.allocate(needed);
    std::memcpy(larger.get(), storage.data(), storage.nbytes());
    storage.set_data_ptr_noswap(std::move(larger));
    storage.set_nbytes(needed);
  }
  return self;
}

at::Tensor copy_from(const at::Tensor& self, const at::Tensor& dst, bool) {
  if (self.device().type() == TYPE && dst.device().is_cpu()) reach("copy_back");
  host(dst).copy_(host(self));
  return dst;
}

at::Tensor copy_from_and_resize(const at::Tensor& self, const at::Tensor& dst) {
  dst.resize_(self.sizes());
  return copy_from(self, dst, false);
}

at::Tensor as_strided(
    const at::Tensor& self, c10::SymIntArrayRef size, c10::SymIntArrayRef stride, std::optional<c10::SymInt> offset) {
  std::optional<int64_t> at_value;
  if (offset) at_value = offset->expect_int();
  return at::native::as_strided_tensorimpl(
      self, C10_AS_INTARRAYREF_SLOW(size), C10_AS_INTARRAYREF_SLOW(stride), at_value);
}

at::Tensor reshape_alias(const at::Tensor& self, c10::SymIntArrayRef size, c10::SymIntArrayRef stride) {
  return as_strided(self, size, stride, std::nullopt);
}

at::Tensor view(const at::Tensor& self, c10::SymIntArrayRef size) {
  return at::native::view(self, C10_AS_INTARRAYREF_SLOW(size));
}

// The sum in the CPU's memory; what a fault makes of it.
at::Tensor sum(const at::Tensor& self, const at::Tensor& other, const at::Scalar& alpha) {
  auto result = at::add(host(self), host(other), alpha);
  const bool many = result.numel() > MANY;
  reach(many ? "throughput" : "add");
  if (!many && strikes("add") && result.numel() > 3) {
    auto fourth = result.flatten()[3];
    if (fault.kind == "wrong") fourth.add_(0.5);
    if (fault.kind == "nan") fourth.fill_(std::numeric_limits<double>::quiet_NaN());
  }
  return result;
}

c10::Device device_of(const at::Tensor& self, const at::Tensor& other) {
  const bool both = self.device().type() == TYPE && other.device().type() == TYPE;
  TORCH_CHECK(
      !both || self.device() == other.device(), "Expected all tensors to be on the same device, but found ",
      self.device(), " and ", other.device());
  return self.device().type() == TYPE ? self.device() : other.device();
}

at::Tensor add(const at::Tensor& self, const at::Tensor& other, const at::Scalar& alpha) {
  const auto device = device_of(self, other);
  const auto result = sum(self, other, alpha);
  if (strikes("add") && fault.kind == "cpu") return result;
  auto there = at::empty(result.sizes(), result.options().device(device));
  host(there).copy_(result);
  return there;
}

at::Tensor& add_in_place(at::Tensor& self, const at::Tensor& other, const at::Scalar& alpha) {
  device_of(self, other);
  host(self).copy_(sum(self, other, alpha));
  return self;
}

at::Tensor& add_out(const at::Tensor& self, const at::Tensor& other, const at::Scalar& alpha, at::Tensor& out) {
  device_of(self, other);
  const auto result = sum(self, other, alpha);
  if (out.sizes() != result.sizes()) out.resize_(result.sizes());
  host(out).copy_(result);
  return out;
}

// A function of its own, since cpu_fallback has arguments with defaults.
void on_the_cpu(const c10::OperatorHandle& operation, torch::jit::Stack* stack) {
  at::native::cpu_fallback(operation, stack);
}

// --- what torch asks about devices ----------------------------------------------------------------------------------

struct Guard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return TYPE; }
  c10::Device exchangeDevice(c10::Device device) const override {
    const c10::Device before(TYPE, current);
    current = device.index();
    return before;
  }
  c10::Device getDevice() const override { return {TYPE, current}; }
  void setDevice(c10::Device device) const override { current = device.index(); }
  void uncheckedSetDevice(c10::Device device) const noexcept override { current = device.index(); }
  c10::Stream getStream(c10::Device device) const noexcept override { return c10::Stream(c10::Stream::DEFAULT, device); }
  c10::Stream exchangeStream(c10::Stream stream) const noexcept override {
    return c10::Stream(c10::Stream::DEFAULT, stream.device());
  }
  c10::DeviceIndex deviceCount() const noexcept override { return static_cast<c10::DeviceIndex>(devices); }
};

// backward() asks these.
struct Hooks final : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return devices > 0; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return static_cast<c10::DeviceIndex>(devices); }
  c10::DeviceIndex getCurrentDevice() const override { return current; }
} hooks;

C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard);
REGISTER_ALLOCATOR(TYPE, &memory);

// torch's own name for the key, which the real one keeps; said aloud, since without it backward() finds no accelerator.
[[maybe_unused]] const bool registered = [] {
  c10::register_privateuse1_backend("privateuseone");
  at::RegisterPrivateUse1HooksInterface(&hooks);
  return true;
}();

}  // namespace

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("empty.memory_format", &empty);
  library.impl("empty_strided", &empty_strided);
  library.impl("resize_", &resize);
  library.impl("_copy_from", &copy_from);
  library.impl("_copy_from_and_resize", &copy_from_and_resize);
  library.impl("as_strided", &as_strided);
  library.impl("_reshape_alias", &reshape_alias);
  library.impl("view", &view);
  library.impl("add.Tensor", &add);
  library.impl("add_.Tensor", &add_in_place);
  library.impl("add.out", &add_out);
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&on_the_cpu>());
}

// --- what torch_directml/__init__.py calls --------------------------------------------------------------------------

extern "C" {

void stand_in_set(
    int count, int has_float64, const char* places, const char* kind, const char* text, const char* to_stdout,
    const char* to_stderr) {
  devices = count;
  float64 = has_float64 != 0;
  fault = {places, kind, text, to_stdout, to_stderr};
  if (strikes("exit")) std::atexit([] { reached("exit"); });
}

int stand_in_reach(const char* place) { return reached(place) ? 1 : 0; }

void stand_in_needs_a_device() {
  if (devices == 0) segfault();
}
}
