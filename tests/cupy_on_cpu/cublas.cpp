// cuBLAS on the CPU: products by the book. What is not here is a stub that says its name (build.py).
//
// Matrices lie by columns, `ld` elements apart.
#include <cuda_fp16.h>
#include <stdio.h>

#include "device.h"
#include "multiply.h"

namespace {

enum Status { SUCCESS = 0, INVALID_VALUE = 7, EXECUTION_FAILED = 13, NOT_SUPPORTED = 15 };
enum Type { FLOAT = 0, DOUBLE = 1, HALF = 2 };  // as cudaDataType has them

struct Handle {
    cudaStream_t stream = nullptr;
    int on_device = 0;  // whether alpha, beta and what dot returns are in the device's memory
    int math = 0;
};

Status enqueue(void* handle, const char* name, std::initializer_list<const void*> memory, gpu::Work work) {
    std::lock_guard<std::recursive_mutex> lock(gpu::mutex());
    const std::string wrong = gpu::strangers(memory);
    if (!wrong.empty()) {
        fprintf(stderr, "tests/cupy_on_cpu: %s: %s\n", name, wrong.c_str());
        return INVALID_VALUE;
    }
    if (gpu::idle()) return SUCCESS;
    return gpu::enqueue(((Handle*)handle)->stream, name, std::move(work)) ? EXECUTION_FAILED : SUCCESS;
}

template <typename T, typename Sum = T>
Status gemm(const char* name, void* handle, int ta, int tb, int m, int n, int k, const void* alpha, const void* a,
            int lda, long long step_a, const void* b, int ldb, long long step_b, const void* beta, void* c, int ldc,
            long long step_c, int batch) {
    const Sum by = *(const Sum*)alpha, plus = *(const Sum*)beta;
    return enqueue(handle, name, {a, b, c}, [=] {
        for (int i = 0; i < batch; ++i)
            multiply<T, Sum>(ta, tb, m, n, k, by, (const T*)a + i * step_a, lda, (const T*)b + i * step_b, ldb, plus,
                             (T*)c + i * step_c, ldc);
        gpu::mark_written(c);
        return std::string();
    });
}

Status gemm_of(int type, const char* name, void* handle, int ta, int tb, int m, int n, int k, const void* alpha,
               const void* a, int lda, long long step_a, const void* b, int ldb, long long step_b, const void* beta,
               void* c, int ldc, long long step_c, int batch) {
    const auto call = type == FLOAT    ? gemm<float>
                      : type == DOUBLE ? gemm<double>
                      : type == HALF   ? gemm<__half, float>
                                       : nullptr;
    if (!call) {
        fprintf(stderr, "tests/cupy_on_cpu: %s is not emulated for type %d\n", name, type);
        return NOT_SUPPORTED;
    }
    return call(name, handle, ta, tb, m, n, k, alpha, a, lda, step_a, b, ldb, step_b, beta, c, ldc, step_c, batch);
}

template <typename T>
Status gemm_batched(const char* name, void* handle, int ta, int tb, int m, int n, int k, const T* alpha,
                    const T* const* a, int lda, const T* const* b, int ldb, const T* beta, T* const* c, int ldc,
                    int batch) {
    const T by = *alpha, plus = *beta;
    return enqueue(handle, name, {a, b, c}, [=] {
        for (int i = 0; i < batch; ++i) {
            multiply<T, T>(ta, tb, m, n, k, by, a[i], lda, b[i], ldb, plus, c[i], ldc);
            gpu::mark_written(c[i]);
        }
        return std::string();
    });
}

template <typename T>
Status dot(const char* name, void* handle, int n, const T* x, int step_x, const T* y, int step_y, T* result) {
    if (!((Handle*)handle)->on_device) return Status(gpu::not_emulated("cublas dot into the host's memory"));
    return enqueue(handle, name, {x, y, result}, [=] {
        T sum = 0;
        for (int i = 0; i < n; ++i) sum += x[(size_t)i * step_x] * y[(size_t)i * step_y];
        *result = sum;
        gpu::mark_written(result);
        return std::string();
    });
}

template <typename T>
Status gemv(const char* name, void* handle, int transposed, int m, int n, const T* alpha, const T* a, int lda,
            const T* x, int step_x, const T* beta, T* y, int step_y) {
    const T by = *alpha, plus = *beta;
    return enqueue(handle, name, {a, x, y}, [=] {
        for (int i = 0; i < (transposed ? n : m); ++i) {
            T sum = 0;
            for (int l = 0; l < (transposed ? m : n); ++l)
                sum += a[transposed ? l + (size_t)i * lda : i + (size_t)l * lda] * x[(size_t)l * step_x];
            T& to = y[(size_t)i * step_y];
            to = plus == 0 ? by * sum : by * sum + plus * to;
        }
        gpu::mark_written(y);
        return std::string();
    });
}

template <typename T>
Status ger(const char* name, void* handle, int m, int n, const T* alpha, const T* x, int step_x, const T* y,
           int step_y, T* a, int lda) {
    const T by = *alpha;
    return enqueue(handle, name, {x, y, a}, [=] {
        for (int j = 0; j < n; ++j)
            for (int i = 0; i < m; ++i) a[i + (size_t)j * lda] += by * x[(size_t)i * step_x] * y[(size_t)j * step_y];
        gpu::mark_written(a);
        return std::string();
    });
}

}  // namespace

extern "C" {
int cublasCreate_v2(void** handle) { *handle = new Handle; return SUCCESS; }
int cublasDestroy_v2(void* handle) { delete (Handle*)handle; return SUCCESS; }
int cublasGetVersion_v2(void*, int* version) { *version = 130000; return SUCCESS; }
int cublasSetStream_v2(void* handle, cudaStream_t stream) { ((Handle*)handle)->stream = stream; return SUCCESS; }
int cublasGetStream_v2(void* handle, cudaStream_t* stream) { *stream = ((Handle*)handle)->stream; return SUCCESS; }
int cublasSetPointerMode_v2(void* handle, int mode) { ((Handle*)handle)->on_device = mode; return SUCCESS; }
int cublasGetPointerMode_v2(void* handle, int* mode) { *mode = ((Handle*)handle)->on_device; return SUCCESS; }
int cublasSetMathMode(void* handle, int mode) { ((Handle*)handle)->math = mode; return SUCCESS; }
int cublasGetMathMode(void* handle, int* mode) { *mode = ((Handle*)handle)->math; return SUCCESS; }

#define OF_TYPE(S, T, TYPE)                                                                                          \
    int cublas##S##gemm_v2(void* h, int ta, int tb, int m, int n, int k, const T* alpha, const T* a, int lda,        \
                           const T* b, int ldb, const T* beta, T* c, int ldc) {                                      \
        return gemm_of(TYPE, __func__, h, ta, tb, m, n, k, alpha, a, lda, 0, b, ldb, 0, beta, c, ldc, 0, 1);         \
    }                                                                                                                \
    int cublas##S##gemmStridedBatched(void* h, int ta, int tb, int m, int n, int k, const T* alpha, const T* a,      \
                                      int lda, long long sa, const T* b, int ldb, long long sb, const T* beta, T* c, \
                                      int ldc, long long sc, int batch) {                                            \
        return gemm_of(TYPE, __func__, h, ta, tb, m, n, k, alpha, a, lda, sa, b, ldb, sb, beta, c, ldc, sc, batch);  \
    }                                                                                                                \
    int cublas##S##gemmBatched(void* h, int ta, int tb, int m, int n, int k, const T* alpha, const T* const* a,      \
                               int lda, const T* const* b, int ldb, const T* beta, T* const* c, int ldc,             \
                               int batch) {                                                                          \
        return gemm_batched<T>(__func__, h, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, batch);            \
    }                                                                                                                \
    int cublas##S##dot_v2(void* h, int n, const T* x, int sx, const T* y, int sy, T* result) {                       \
        return dot<T>(__func__, h, n, x, sx, y, sy, result);                                                         \
    }                                                                                                                \
    int cublas##S##gemv_v2(void* h, int t, int m, int n, const T* alpha, const T* a, int lda, const T* x, int sx,    \
                           const T* beta, T* y, int sy) {                                                            \
        return gemv<T>(__func__, h, t, m, n, alpha, a, lda, x, sx, beta, y, sy);                                     \
    }                                                                                                                \
    int cublas##S##ger_v2(void* h, int m, int n, const T* alpha, const T* x, int sx, const T* y, int sy, T* a,       \
                          int lda) {                                                                                 \
        return ger<T>(__func__, h, m, n, alpha, x, sx, y, sy, a, lda);                                               \
    }
OF_TYPE(S, float, FLOAT)
OF_TYPE(D, double, DOUBLE)

int cublasSgemmEx(void* h, int ta, int tb, int m, int n, int k, const float* alpha, const void* a, int type, int lda,
                  const void* b, int, int ldb, const float* beta, void* c, int, int ldc) {
    return gemm_of(type, __func__, h, ta, tb, m, n, k, alpha, a, lda, 0, b, ldb, 0, beta, c, ldc, 0, 1);
}

int cublasGemmEx(void* h, int ta, int tb, int m, int n, int k, const void* alpha, const void* a, int type, int lda,
                 const void* b, int, int ldb, const void* beta, void* c, int, int ldc, int, int) {
    return gemm_of(type, __func__, h, ta, tb, m, n, k, alpha, a, lda, 0, b, ldb, 0, beta, c, ldc, 0, 1);
}

int cublasGemmStridedBatchedEx(void* h, int ta, int tb, int m, int n, int k, const void* alpha, const void* a,
                               int type, int lda, long long sa, const void* b, int, int ldb, long long sb,
                               const void* beta, void* c, int, int ldc, long long sc, int batch, int, int) {
    return gemm_of(type, __func__, h, ta, tb, m, n, k, alpha, a, lda, sa, b, ldb, sb, beta, c, ldc, sc, batch);
}
}
