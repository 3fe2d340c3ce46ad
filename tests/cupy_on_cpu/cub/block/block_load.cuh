// What CuPy's block-wise reductions ask of cub: a thread loads neighbouring items.
#pragma once

namespace cub {

enum BlockLoadAlgorithm { BLOCK_LOAD_DIRECT };

template <typename T, int THREADS, int ITEMS, BlockLoadAlgorithm algorithm>
struct BlockLoad {
    struct TempStorage {
        char unused;
    };

    BlockLoad(TempStorage&) {}

    template <typename Input, typename Default>
    void Load(Input input, T (&items)[ITEMS], int valid, Default otherwise) {
        for (int i = 0; i < ITEMS; ++i) {
            const int at = int(threadIdx.x) * ITEMS + i;
            if (at < valid)
                items[i] = input[at];
            else
                items[i] = otherwise;
        }
    }
};

}  // namespace cub
