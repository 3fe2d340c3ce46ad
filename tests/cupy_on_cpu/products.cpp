// cuBLAS, as far as CuPy asks for it, and cuBLASLt, as far as minigrad/cublas.py does: products by
// the book. What else CuPy wants of cuBLAS is a stub that says its name (build.py).
#include <cuda_fp16.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <map>
#include <vector>

#include "device.h"

namespace {

enum Status { SUCCESS = 0, INVALID_VALUE = 7, EXECUTION_FAILED = 13, NOT_SUPPORTED = 15 };
enum Type { FLOAT = 0, DOUBLE = 1, HALF = 2, COMPUTE_FLOAT = 68, COMPUTE_DOUBLE = 70 };  // and how to add up

struct Matrix {  // by columns, `ld` elements apart
    const void* at;
    int ld, transposed = 0;
    long long step = 0;      // from one of a batch to the next
    bool scattered = false;  // or `at` points to the addresses of all

    template <typename T>
    T* of(int i) const { return scattered ? ((T* const*)at)[i] : (T*)at + i * step; }
};

struct Product {
    int m, n, k;
    Matrix a, b, c;
    int batch = 1;
    const void* bias = nullptr;  // a number for each row
};

// c = alpha op(a) op(b) + beta c + bias, each sum in the type of Sum; c is not read if beta is 0
template <typename T, typename Sum>
void multiply(const Product& p, Sum alpha, Sum beta) {
    std::vector<Sum> rows(size_t(p.m) * p.k), sums(p.m);  // op(a), by columns
    for (int matrix = 0; matrix < p.batch; ++matrix) {
        const T *a = p.a.of<T>(matrix), *b = p.b.of<T>(matrix);
        T* const c = p.c.of<T>(matrix);
        for (size_t l = 0; l < size_t(p.k); ++l)
            for (size_t i = 0; i < size_t(p.m); ++i)
                rows[l * p.m + i] = Sum(p.a.transposed ? a[l + i * p.a.ld] : a[i + l * p.a.ld]);
        for (size_t j = 0; j < size_t(p.n); ++j) {
            sums.assign(p.m, Sum(0));
            for (size_t l = 0; l < size_t(p.k); ++l) {
                const Sum by = Sum(p.b.transposed ? b[j + l * p.b.ld] : b[l + j * p.b.ld]);
                const Sum* const row = &rows[l * p.m];
                for (int i = 0; i < p.m; ++i) sums[i] += row[i] * by;
            }
            for (int i = 0; i < p.m; ++i) {
                T& to = c[i + j * p.c.ld];
                to = T(beta == Sum(0) ? alpha * sums[i] : alpha * sums[i] + beta * Sum(to));
                if (p.bias) to = T(Sum(to) + Sum(((const T*)p.bias)[i]));
            }
        }
        if (p.c.scattered) gpu::mark_written(c);
    }
}

Status refused(Status status, const char* name, const char* why) {
    fprintf(stderr, "tests/cupy_on_cpu: %s: %s\n", name, why);
    return status;
}

template <typename T, typename Sum = T>
Status put(cudaStream_t stream, const char* name, const void* alpha, const void* beta, const Product& p) {
    const Sum by = *(const Sum*)alpha, plus = *(const Sum*)beta;
    const auto work = [=] { multiply<T, Sum>(p, by, plus); };
    if (!gpu::compute(stream, name, {p.a.at, p.b.at, p.c.at, p.bias}, p.c.at, work)) return SUCCESS;
    return refused(EXECUTION_FAILED, name, cudaGetErrorString(cudaGetLastError()));
}

Status put(cudaStream_t stream, const char* name, int type, const void* alpha, const void* beta, const Product& p) {
    const auto call = type == FLOAT ? put<float> : type == DOUBLE ? put<double> : type == HALF ? put<__half, float> : nullptr;
    return call ? call(stream, name, alpha, beta, p) : refused(NOT_SUPPORTED, name, "its type is not emulated");
}

struct Handle {
    cudaStream_t stream = nullptr;
    int math_mode = 0;
};

}  // namespace

// ------------------------------------------------------------------------- cuBLAS

extern "C" {
int cublasCreate_v2(Handle** handle) { *handle = new Handle; return SUCCESS; }
int cublasDestroy_v2(Handle* handle) { delete handle; return SUCCESS; }
int cublasSetStream_v2(Handle* handle, cudaStream_t stream) { handle->stream = stream; return SUCCESS; }
int cublasSetMathMode(Handle* handle, int mode) { handle->math_mode = mode; return SUCCESS; }
int cublasGetMathMode(Handle* handle, int* mode) { *mode = handle->math_mode; return SUCCESS; }

int cublasGemmEx(Handle* h, int ta, int tb, int m, int n, int k, const void* alpha, const void* a, int type, int lda,
                 const void* b, int, int ldb, const void* beta, void* c, int, int ldc, int, int) {
    return put(h->stream, __func__, type, alpha, beta, {m, n, k, {a, lda, ta}, {b, ldb, tb}, {c, ldc}});
}

int cublasGemmStridedBatchedEx(Handle* h, int ta, int tb, int m, int n, int k, const void* alpha, const void* a,
                               int type, int lda, long long sa, const void* b, int, int ldb, long long sb,
                               const void* beta, void* c, int, int ldc, long long sc, int batch, int, int) {
    return put(h->stream, __func__, type, alpha, beta,
               {m, n, k, {a, lda, ta, sa}, {b, ldb, tb, sb}, {c, ldc, 0, sc}, batch});
}

#define BATCHED(name, TYPE)                                                                                       \
    int name(Handle* h, int ta, int tb, int m, int n, int k, const void* alpha, const void* a, int lda,           \
             const void* b, int ldb, const void* beta, const void* c, int ldc, int batch) {                       \
        return put(h->stream, __func__, TYPE, alpha, beta,                                                        \
                   {m, n, k, {a, lda, ta, 0, true}, {b, ldb, tb, 0, true}, {c, ldc, 0, 0, true}, batch});         \
    }
BATCHED(cublasSgemmBatched, FLOAT)
BATCHED(cublasDgemmBatched, DOUBLE)
}

// ------------------------------------------------------------------------- cuBLASLt

namespace {

enum Attribute { TRANSA = 3, TRANSB = 4, EPILOGUE = 7, BIAS_POINTER = 8 };
constexpr uint64_t EPILOGUE_BIAS = 4, ALGORITHM = 0x4c61;

struct Attributes {  // of a product, or of a preference, of which none is heeded
    int compute = 0, scale = 0;
    std::map<int, uint64_t> values = {};

    uint64_t operator[](int name) const { return values.count(name) ? values.at(name) : 0; }
};

struct Layout {
    int type;
    uint64_t rows, columns;
    int64_t step;
};

struct Heuristic {
    uint64_t algorithm[8];
    size_t workspace;
    int status;
    float waves;
    int reserved[4];
};

bool supported(const Attributes& what, const Layout& a) {
    const bool doubles = a.type == DOUBLE, biased = what[EPILOGUE] == EPILOGUE_BIAS;
    return what.compute == (doubles ? COMPUTE_DOUBLE : COMPUTE_FLOAT) && what.scale == (doubles ? DOUBLE : FLOAT) &&
           !(doubles && biased);
}

Status set(Attributes* of, int name, const void* value, size_t size) {
    if (size > sizeof(uint64_t)) return INVALID_VALUE;
    memcpy(&(of->values[name] = 0), value, size);
    return SUCCESS;
}

}  // namespace

extern "C" {
int cublasLtCreate(void** handle) { *handle = new int; return SUCCESS; }
int cublasLtMatmulDescCreate(Attributes** what, int compute, int scale) { *what = new Attributes{compute, scale}; return SUCCESS; }
int cublasLtMatmulDescDestroy(Attributes* what) { delete what; return SUCCESS; }
int cublasLtMatmulDescSetAttribute(Attributes* what, int name, const void* value, size_t size) { return set(what, name, value, size); }
int cublasLtMatmulPreferenceCreate(Attributes** preference) { *preference = new Attributes; return SUCCESS; }
int cublasLtMatmulPreferenceDestroy(Attributes* preference) { delete preference; return SUCCESS; }
int cublasLtMatmulPreferenceSetAttribute(Attributes* of, int name, const void* value, size_t size) { return set(of, name, value, size); }
int cublasLtMatrixLayoutDestroy(Layout* layout) { delete layout; return SUCCESS; }

int cublasLtMatrixLayoutCreate(Layout** layout, int type, uint64_t rows, uint64_t columns, int64_t step) {
    *layout = new Layout{type, rows, columns, step};
    return step < int64_t(rows) ? INVALID_VALUE : SUCCESS;
}

int cublasLtMatmulAlgoGetHeuristic(void*, const Attributes* what, const Layout* a, const Layout*, const Layout*,
                                   const Layout*, const Attributes*, int, Heuristic* best, int* found) {
    *best = {};
    best->algorithm[0] = ALGORITHM;
    *found = supported(*what, *a);
    return *found ? SUCCESS : NOT_SUPPORTED;
}

int cublasLtMatmul(void*, const Attributes* given, const void* alpha, const void* a, const Layout* la, const void* b,
                   const Layout* lb, const void* beta, const void* c, const Layout*, void* d, const Layout* ld,
                   const uint64_t* algorithm, void* workspace, size_t, cudaStream_t stream) {
    const Attributes& what = *given;
    const bool ta = what[TRANSA], tb = what[TRANSB];
    const uint64_t m = ld->rows, n = ld->columns, k = ta ? la->rows : la->columns;
    if (!supported(what, *la) || la->type != lb->type || la->type != ld->type)
        return refused(INVALID_VALUE, __func__, "types are not supported");
    if (c != d || !algorithm || *algorithm != ALGORITHM || !workspace)
        return refused(INVALID_VALUE, __func__, "not called as it is emulated");
    if ((ta ? la->columns : la->rows) != m || (tb ? lb->rows : lb->columns) != n || (tb ? lb->columns : lb->rows) != k)
        return refused(INVALID_VALUE, __func__, "the sizes of the matrices do not fit");
    const void* const bias = what[EPILOGUE] == EPILOGUE_BIAS ? (const void*)what[BIAS_POINTER] : nullptr;
    return put(stream, __func__, la->type, alpha, beta,
               {int(m), int(n), int(k), {a, int(la->step), ta}, {b, int(lb->step), tb}, {d, int(ld->step)}, 1, bias});
}
}
