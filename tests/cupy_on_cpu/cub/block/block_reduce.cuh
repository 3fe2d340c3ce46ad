// What CuPy's block-wise reductions ask of cub: one value out of all items of a block.
#pragma once

namespace cub {

template <typename T, int THREADS>
struct BlockReduce {
    struct TempStorage {
        alignas(T) char bytes[THREADS * sizeof(T)];
    };

    TempStorage& storage;
    BlockReduce(TempStorage& given) : storage(given) {}

    template <int ITEMS, typename Operation>
    T Reduce(T (&items)[ITEMS], Operation operation) {
        T* const values = (T*)storage.bytes;
        const int own = int(threadIdx.x);
        T value = items[0];
        for (int i = 1; i < ITEMS; ++i) value = operation(value, items[i]);
        values[own] = value;
        __syncthreads();
        for (int half = THREADS / 2; half; half /= 2) {
            if (own < half) values[own] = operation(values[own], values[own + half]);
            __syncthreads();
        }
        return values[0];
    }
};

}  // namespace cub
