// Whether integers that are used as an index are in range: what nobody asks on a GPU.

using u64 = unsigned long long;
using i64 = long long;

constexpr int ARRAYS = 8;

struct Indices {
    const void* at[ARRAYS];
    i64 count[ARRAYS];  // how many integers
    i64 size[ARRAYS];   // of the dimension that they choose from
    int bytes[ARRAYS];  // of each integer; negative if it has a sign
};

__device__ i64 integer(const void* at, i64 i, int bytes) {
    switch (bytes) {
        case -1: return ((const signed char*)at)[i];
        case 1: return ((const unsigned char*)at)[i];
        case -2: return ((const short*)at)[i];
        case 2: return ((const unsigned short*)at)[i];
        case -4: return ((const int*)at)[i];
        case 4: return ((const unsigned int*)at)[i];
        default: return ((const i64*)at)[i];
    }
}

// `wrong` remembers the largest integer that is not from -size to size - 1, with negative ones above
// all others; 0, which is never wrong, stands for none.
__global__ void check_indices(Indices all, int arrays, u64* wrong) {
    for (int a = 0; a < arrays; ++a)
        for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < all.count[a];
             i += (i64)gridDim.x * blockDim.x) {
            const i64 asked = integer(all.at[a], i, all.bytes[a]);
            if (asked < -all.size[a] || asked >= all.size[a]) atomicMax(wrong, (u64)asked);
        }
}
