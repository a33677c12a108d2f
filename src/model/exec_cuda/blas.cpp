#include "model/exec_cuda/blas.h"

#include <dlfcn.h>

#include <cstdlib>
#include <string_view>

namespace pare {
namespace {

// The few functions and values of cublas_v2.h that are used; the header need not be installed.
constexpr int kPlain = 0, kTransposed = 1;        // cublasOperation_t
constexpr int kFloat = 0, kHalf = 2;              // cudaDataType_t
constexpr int kComputeFloat = 68, kDefault = -1;  // cublasComputeType_t, cublasGemmAlgo_t
using Create = int (*)(void** handle);
using Destroy = int (*)(void* handle);
using SetStream = int (*)(void* handle, cudaStream_t stream);
using GemmEx = int (*)(void* handle, int transa, int transb, int m, int n, int k, const void* alpha,
                       const void* a, int a_type, int lda, const void* b, int b_type, int ldb,
                       const void* beta, void* c, int c_type, int ldc, int compute, int algorithm);

struct Library {
  Create create = nullptr;
  Destroy destroy = nullptr;
  SetStream set_stream = nullptr;
  GemmEx gemm = nullptr;
};

// Loaded once, never unloaded.
const Library& library() {
  static const Library loaded = [] {
    Library found;
    const char* wanted = std::getenv("PARE_CUBLAS");
    if (wanted != nullptr && std::string_view(wanted) == "0") return found;
    void* file = nullptr;
    for (const char* name : {"libcublas.so.13", "libcublas.so.12", "libcublas.so"}) {
      if (file == nullptr) file = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);
    }
    if (file == nullptr) return found;
    found.create = reinterpret_cast<Create>(::dlsym(file, "cublasCreate_v2"));
    found.destroy = reinterpret_cast<Destroy>(::dlsym(file, "cublasDestroy_v2"));
    found.set_stream = reinterpret_cast<SetStream>(::dlsym(file, "cublasSetStream_v2"));
    found.gemm = reinterpret_cast<GemmEx>(::dlsym(file, "cublasGemmEx"));
    return found;
  }();
  return loaded;
}

}  // namespace

std::unique_ptr<Blas> Blas::create(cudaStream_t stream) {
  const Library& l = library();
  if (l.create == nullptr || l.destroy == nullptr || l.set_stream == nullptr || l.gemm == nullptr) {
    return nullptr;
  }
  std::unique_ptr<Blas> blas(new Blas());
  if (l.create(&blas->handle_) != 0) {
    blas->handle_ = nullptr;
    return nullptr;
  }
  if (l.set_stream(blas->handle_, stream) != 0) return nullptr;
  return blas;
}

Blas::~Blas() {
  if (handle_ != nullptr) library().destroy(handle_);
}

bool Blas::multiply(const uint16_t* weight, int64_t rows, int64_t columns, const uint16_t* x,
                    int64_t x_stride, int64_t tokens, float* y, int64_t y_stride) const {
  // In its order, columns first: y^T [rows x tokens] = weight [rows x columns] x^T.
  const float one = 1.0f, none = 0.0f;
  return library().gemm(handle_, kTransposed, kPlain, static_cast<int>(rows),
                        static_cast<int>(tokens), static_cast<int>(columns), &one, weight, kHalf,
                        static_cast<int>(columns), x, kHalf, static_cast<int>(x_stride), &none, y,
                        kFloat, static_cast<int>(y_stride), kComputeFloat, kDefault) == 0;
}

}  // namespace pare
