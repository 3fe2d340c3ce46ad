// What CuPy's cub.so exports, in its own C++ names: whole reductions and scans, an element at a time.
#include <cuda_fp16.h>
#include <stdint.h>

#include <algorithm>
#include <numeric>
#include <type_traits>
#include <vector>

#include "device.h"

namespace {

enum Operation { SUM, MIN, MAX, ARGMIN, ARGMAX, CUMSUM, CUMPROD, PROD };  // as CuPy numbers them

template <typename T>
using Wide = std::conditional_t<std::is_same_v<T, __half>, float, T>;

template <typename T>
bool is_nan(T value) { return value != value; }

template <typename T>
struct Place {  // what cub's ArgMin and ArgMax return
    int key;
    T value;
};

template <typename T>
void reduce(const T* x, void* y, size_t n, int operation) {
    const auto at = [&](size_t i) { return Wide<T>(x[i]); };
    if (operation == SUM || operation == PROD) {
        Wide<T> total = operation == PROD;
        for (size_t i = 0; i < n; ++i) total = operation == PROD ? total * at(i) : total + at(i);
        *(T*)y = T(total);
        return;
    }
    const bool least = operation == MIN || operation == ARGMIN;
    size_t best = 0;
    for (size_t i = 1; i < n && !is_nan(at(best)); ++i)
        if (is_nan(at(i)) || (least ? at(i) < at(best) : at(i) > at(best))) best = i;
    if (operation == MIN || operation == MAX)
        *(T*)y = x[best];
    else
        *(Place<T>*)y = {int(best), x[best]};
}

template <typename T>
size_t size_of_result(int operation) {
    return operation == ARGMIN || operation == ARGMAX ? sizeof(Place<T>) : sizeof(T);
}

template <typename T>
void scan(const T* x, T* y, size_t n, int operation) {
    Wide<T> total = operation == CUMPROD;
    for (size_t i = 0; i < n; ++i) y[i] = T(total = operation == CUMPROD ? total * Wide<T>(x[i]) : total + Wide<T>(x[i]));
}

template <typename F>
bool with_type(int type, F f) {  // as CuPy numbers them; 11 and 12 are complex
    switch (type) {
        case 0: f(int8_t()); return true;
        case 1: f(uint8_t()); return true;
        case 2: f(int16_t()); return true;
        case 3: f(uint16_t()); return true;
        case 4: f(int32_t()); return true;
        case 5: f(uint32_t()); return true;
        case 6: f(int64_t()); return true;
        case 7: f(uint64_t()); return true;
        case 8: f(__half()); return true;
        case 9: f(float()); return true;
        case 10: f(double()); return true;
        case 13: f(bool()); return true;
        default: return false;
    }
}

template <typename F>
void enqueue(const char* name, cudaStream_t stream, int type, const void* x, void* y, F f) {
    std::lock_guard<std::recursive_mutex> lock(gpu::mutex());
    if (gpu::idle()) return;
    const std::string wrong = gpu::strangers({x, y});
    if (!wrong.empty()) {
        gpu::fail_later(cudaErrorInvalidValue, (std::string(name) + ": " + wrong).c_str());
        return;
    }
    if (!with_type(type, [](auto) {})) {
        const std::string what = std::string(name) + " of type " + std::to_string(type);
        gpu::fail_later(cudaErrorNotSupported, (what + " is not emulated").c_str());
        return;
    }
    gpu::enqueue(stream, name, [=] {
        with_type(type, f);
        gpu::mark_written(y);
        return std::string();
    });
}

}  // namespace

void cub_device_reduce(void*, size_t&, void* x, void* y, int n, cudaStream_t stream, int operation, int type) {
    enqueue(__func__, stream, type, x, y, [=](auto zero) { reduce((const decltype(zero)*)x, y, n, operation); });
}

void cub_device_segmented_reduce(void*, size_t&, void* x, void* y, int segments, int size, cudaStream_t stream,
                                 int operation, int type) {
    enqueue(__func__, stream, type, x, y, [=](auto zero) {
        using T = decltype(zero);
        for (size_t i = 0; i < size_t(segments); ++i)
            reduce((const T*)x + i * size, (char*)y + i * size_of_result<T>(operation), size, operation);
    });
}

void cub_device_scan(void*, size_t&, void* x, void* y, int n, cudaStream_t stream, int operation, int type) {
    enqueue(__func__, stream, type, x, y, [=](auto zero) {
        using T = decltype(zero);
        scan((const T*)x, (T*)y, n, operation);
    });
}

// none of these needs any room for itself, but CuPy wants some to be asked for
size_t cub_device_reduce_get_workspace_size(void*, void*, int, cudaStream_t, int, int) { return 8; }
size_t cub_device_segmented_reduce_get_workspace_size(void*, void*, int, int, cudaStream_t, int, int) { return 8; }
size_t cub_device_scan_get_workspace_size(void*, void*, int, cudaStream_t, int, int) { return 8; }

// ------------------------------------------------------------------------- and thrust.so: sorting

namespace {

template <typename T>
bool comes_before(T a, T b) {  // NaN comes last
    return Wide<T>(a) < Wide<T>(b) || (!is_nan(Wide<T>(a)) && is_nan(Wide<T>(b)));
}

size_t product(const std::vector<ptrdiff_t>& shape) {
    size_t n = 1;
    for (const ptrdiff_t size : shape) n *= size;
    return n;
}

}  // namespace

// Sorts along the last dimension.
void thrust_sort(int type, void* data, size_t* keys, const std::vector<ptrdiff_t>& shape, intptr_t stream, void*) {
    const size_t n = product(shape), length = shape.back();
    enqueue(__func__, (cudaStream_t)stream, type, keys, data, [=](auto zero) {
        using T = decltype(zero);
        for (T* row = (T*)data; row < (T*)data + n; row += length) std::stable_sort(row, row + length, comes_before<T>);
    });
}

// Writes down where the elements are that would come first, second, ... of the last dimension.
void thrust_argsort(int type, size_t* places, void* data, void* keys, const std::vector<ptrdiff_t>& shape,
                    intptr_t stream, void*) {
    const size_t n = product(shape), length = shape.back();
    if (!gpu::strangers({data, keys}).empty()) return (void)gpu::fail_later(cudaErrorInvalidValue, "argsort: not there");
    enqueue(__func__, (cudaStream_t)stream, type, data, places, [=](auto zero) {
        using T = decltype(zero);
        for (size_t start = 0; start < n; start += length) {
            const T* const row = (const T*)data + start;
            std::iota(places + start, places + start + length, size_t(0));
            std::stable_sort(places + start, places + start + length,
                             [=](size_t a, size_t b) { return comes_before<T>(row[a], row[b]); });
        }
    });
}
