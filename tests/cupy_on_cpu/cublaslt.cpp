// cuBLASLt on the CPU, as far as minigrad/cublas.py asks for it: one product, with a bias.
#include <cuda_fp16.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <map>

#include "device.h"
#include "multiply.h"

namespace {

enum Status { SUCCESS = 0, INVALID_VALUE = 7, EXECUTION_FAILED = 13, NOT_SUPPORTED = 15 };
enum Type { FLOAT = 0, DOUBLE = 1, HALF = 2, COMPUTE_FLOAT = 68, COMPUTE_DOUBLE = 70 };
enum Attribute { TRANSA = 3, TRANSB = 4, EPILOGUE = 7, BIAS_POINTER = 8 };
constexpr uint64_t EPILOGUE_BIAS = 4, ALGORITHM = 0x4c61;

using Attributes = std::map<int, uint64_t>;

struct Desc {
    int compute, scale;
    Attributes attributes = {};
    uint64_t operator[](int name) const { return attributes.count(name) ? attributes.at(name) : 0; }
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

Status refused(const char* why) {
    fprintf(stderr, "tests/cupy_on_cpu: cublasLtMatmul: %s\n", why);
    return INVALID_VALUE;
}

Status set(Attributes& attributes, int name, const void* value, size_t size) {
    if (size > sizeof(uint64_t)) return INVALID_VALUE;
    memcpy(&(attributes[name] = 0), value, size);
    return SUCCESS;
}

bool supported(const Desc& desc, const Layout& a) {
    const bool doubles = a.type == DOUBLE, biased = desc[EPILOGUE] == EPILOGUE_BIAS;
    return desc.compute == (doubles ? COMPUTE_DOUBLE : COMPUTE_FLOAT) && desc.scale == (doubles ? DOUBLE : FLOAT) &&
           !(doubles && biased);
}

template <typename T, typename Sum>
Status matmul(const Desc& desc, const void* alpha, const void* a, const Layout& la, const void* b, const Layout& lb,
              const void* beta, void* d, const Layout& ld, cudaStream_t stream) {
    const bool ta = desc[TRANSA], tb = desc[TRANSB];
    const int m = ld.rows, n = ld.columns, k = ta ? la.rows : la.columns;
    if ((ta ? la.columns : la.rows) != ld.rows || (tb ? lb.rows : lb.columns) != ld.columns ||
        int(tb ? lb.columns : lb.rows) != k)
        return refused("the sizes of the matrices do not fit");
    const void* const bias = desc[EPILOGUE] == EPILOGUE_BIAS ? (const void*)desc[BIAS_POINTER] : nullptr;
    const std::string wrong = gpu::strangers({a, b, d, bias});
    if (!wrong.empty()) return refused(wrong.c_str());
    if (gpu::idle()) return SUCCESS;
    const Sum by = *(const Sum*)alpha, plus = *(const Sum*)beta;
    const int sa = la.step, sb = lb.step, sd = ld.step;
    const cudaError_t code = gpu::enqueue(stream, "cublasLtMatmul", [=] {
        const std::string gone = gpu::strangers({a, b, d, bias});
        if (!gone.empty()) return "cublasLtMatmul: " + gone;
        multiply<T, Sum>(ta, tb, m, n, k, by, (const T*)a, sa, (const T*)b, sb, plus, (T*)d, sd);
        for (int j = 0; bias && j < n; ++j)
            for (int i = 0; i < m; ++i) {
                T& to = ((T*)d)[i + (size_t)j * sd];
                to = T(Sum(to) + Sum(((const T*)bias)[i]));
            }
        gpu::mark_written(d);
        return std::string();
    });
    return code ? EXECUTION_FAILED : SUCCESS;
}

}  // namespace

extern "C" {
int cublasLtCreate(void** handle) { *handle = new int; return SUCCESS; }
int cublasLtMatmulDescCreate(Desc** desc, int compute, int scale) { *desc = new Desc{compute, scale}; return SUCCESS; }
int cublasLtMatmulDescDestroy(Desc* desc) { delete desc; return SUCCESS; }
int cublasLtMatmulPreferenceCreate(Attributes** preference) { *preference = new Attributes; return SUCCESS; }
int cublasLtMatmulPreferenceDestroy(Attributes* preference) { delete preference; return SUCCESS; }
int cublasLtMatrixLayoutDestroy(Layout* layout) { delete layout; return SUCCESS; }

int cublasLtMatrixLayoutCreate(Layout** layout, int type, uint64_t rows, uint64_t columns, int64_t step) {
    *layout = new Layout{type, rows, columns, step};
    return step < int64_t(rows) ? INVALID_VALUE : SUCCESS;
}

int cublasLtMatmulDescSetAttribute(Desc* desc, int name, const void* value, size_t size) {
    return set(desc->attributes, name, value, size);
}

int cublasLtMatmulPreferenceSetAttribute(Attributes* preference, int name, const void* value, size_t size) {
    return set(*preference, name, value, size);
}

int cublasLtMatmulAlgoGetHeuristic(void*, const Desc* desc, const Layout* a, const Layout*, const Layout*,
                                   const Layout*, const Attributes*, int, Heuristic* best, int* found) {
    *best = {};
    best->algorithm[0] = ALGORITHM;
    *found = supported(*desc, *a);
    return *found ? SUCCESS : NOT_SUPPORTED;
}

int cublasLtMatmul(void*, const Desc* desc, const void* alpha, const void* a, const Layout* la, const void* b,
                   const Layout* lb, const void* beta, const void* c, const Layout*, void* d, const Layout* ld,
                   const uint64_t* algorithm, void* workspace, size_t, cudaStream_t stream) {
    std::lock_guard<std::recursive_mutex> lock(gpu::mutex());
    if (!supported(*desc, *la) || la->type != lb->type || la->type != ld->type) return refused("types are not supported");
    if (c != d || !algorithm || *algorithm != ALGORITHM || !workspace) return refused("not called as it is emulated");
    const auto call = la->type == FLOAT ? matmul<float, float> : la->type == DOUBLE ? matmul<double, double> : matmul<__half, float>;
    return call(*desc, alpha, a, *la, b, *lb, beta, d, *ld, stream);
}
}
