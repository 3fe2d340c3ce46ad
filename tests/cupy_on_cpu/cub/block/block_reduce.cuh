// What CuPy's block-wise reductions ask of cub: threads load neighbouring items, and one value comes
// of all items of a block.
#pragma once

namespace cub {

enum BlockLoadAlgorithm { BLOCK_LOAD_DIRECT };

template <typename T, int THREADS, int ITEMS, BlockLoadAlgorithm>
struct BlockLoad {
    struct TempStorage {};

    BlockLoad(TempStorage&) {}

    template <typename Input, typename Default>
    void Load(Input input, T (&items)[ITEMS], int valid, Default otherwise) {
        for (int i = 0, at = int(threadIdx.x) * ITEMS; i < ITEMS; ++i, ++at) {
            if (at < valid) items[i] = input[at];
            else items[i] = otherwise;
        }
    }
};

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
        T& own = values[threadIdx.x];
        own = items[0];
        for (int i = 1; i < ITEMS; ++i) own = operation(own, items[i]);
        __syncthreads();
        for (int half = THREADS / 2; half; half /= 2) {
            if (int(threadIdx.x) < half) own = operation(own, values[threadIdx.x + half]);
            __syncthreads();
        }
        return values[0];
    }
};

}  // namespace cub
