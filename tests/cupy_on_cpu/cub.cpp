// What CuPy's cub.so and thrust.so export, in their own C++ names: whole reductions, and sorting.
#include <cuda_fp16.h>
#include <stdint.h>

#include <algorithm>
#include <numeric>
#include <tuple>
#include <type_traits>
#include <vector>

#include "device.h"

namespace {

enum Operation { SUM, MIN, MAX, ARGMIN, ARGMAX, CUMSUM, CUMPROD, PROD };  // as CuPy numbers them

template <typename T>
using Wide = std::conditional_t<std::is_same_v<T, __half>, float, T>;

template <typename T>
bool is_nan(T value) { return Wide<T>(value) != Wide<T>(value); }

template <typename T>
bool less(T a, T b) { return Wide<T>(a) < Wide<T>(b); }

template <typename T>
struct Place {  // what cub's ArgMin and ArgMax return
    int key;
    T value;
};

template <typename T>
void reduce(const T* x, void* y, size_t n, int operation) {
    if (operation == SUM || operation == PROD) {
        Wide<T> total = operation == PROD;
        for (size_t i = 0; i < n; ++i) total = operation == PROD ? total * Wide<T>(x[i]) : total + Wide<T>(x[i]);
        *(T*)y = T(total);
        return;
    }
    const bool least = operation == MIN || operation == ARGMIN;
    size_t best = 0;
    for (size_t i = 1; i < n && !is_nan(x[best]); ++i)
        if (is_nan(x[i]) || (least ? less(x[i], x[best]) : less(x[best], x[i]))) best = i;
    if (operation == MIN || operation == MAX)
        *(T*)y = x[best];
    else
        *(Place<T>*)y = {int(best), x[best]};
}

// Calls `f` with a number of the type, as CuPy numbers them.
template <typename F, typename... T>
bool with_type(int type, F f, std::tuple<T...>) {
    int i = 0;
    return ((type == i++ && (f(T()), true)) || ...);
}

using Types = std::tuple<int8_t, uint8_t, int16_t, uint16_t, int32_t, uint32_t, int64_t, uint64_t, __half, float, double>;

// Has `f` called with a number of the type, once it is the stream's turn.
template <typename F>
void enqueue(const char* name, void* stream, int type, const void* x, void* y, F f) {
    if (!with_type(type, [](auto) {}, Types())) return gpu::fail_later(gpu::not_emulated((name + (" of type " + std::to_string(type))).c_str()));
    gpu::fail_later(gpu::compute((cudaStream_t)stream, name, {x, y}, y, [=] { with_type(type, f, Types()); }));
}

template <typename T>
bool comes_before(T a, T b) { return less(a, b) || (!is_nan(a) && is_nan(b)); }  // NaN comes last

size_t product(const std::vector<ptrdiff_t>& shape) {
    return std::accumulate(shape.begin(), shape.end(), size_t(1), std::multiplies<size_t>());
}

}  // namespace

void cub_device_segmented_reduce(void*, size_t&, void* x, void* y, int segments, int size, cudaStream_t stream,
                                 int operation, int type) {
    enqueue(__func__, stream, type, x, y, [=](auto zero) {
        using T = decltype(zero);
        const size_t step = operation == ARGMIN || operation == ARGMAX ? sizeof(Place<T>) : sizeof(T);
        for (size_t i = 0; i < size_t(segments); ++i) reduce((const T*)x + i * size, (char*)y + i * step, size, operation);
    });
}

void cub_device_reduce(void* room, size_t& bytes, void* x, void* y, int n, cudaStream_t stream, int operation, int type) {
    cub_device_segmented_reduce(room, bytes, x, y, 1, n, stream, operation, type);
}

// neither of these needs any room for itself, but CuPy wants some to be asked for
size_t cub_device_reduce_get_workspace_size(void*, void*, int, cudaStream_t, int, int) { return 8; }
size_t cub_device_segmented_reduce_get_workspace_size(void*, void*, int, int, cudaStream_t, int, int) { return 8; }

// Writes down where the elements are that would come first, second, ... of the last dimension.
void thrust_argsort(int type, size_t* places, void* data, void*, const std::vector<ptrdiff_t>& shape, intptr_t stream,
                    void*) {
    const size_t n = product(shape), length = shape.back();
    enqueue(__func__, (void*)stream, type, data, places, [=](auto zero) {
        using T = decltype(zero);
        for (size_t start = 0; start < n; start += length) {
            const T* const row = (const T*)data + start;
            std::iota(places + start, places + start + length, size_t(0));
            std::stable_sort(places + start, places + start + length,
                             [=](size_t a, size_t b) { return comes_before<T>(row[a], row[b]); });
        }
    });
}
