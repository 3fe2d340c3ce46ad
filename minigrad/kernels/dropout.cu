// Dropout: the keep mask of Philox4x64-10, and x * keep * scale.
//
// For a mask a thread computes one Philox block, which decides thirty-two neighbouring elements (one
// in 256 of them by more bits). Where a mask is applied, a thread has 16 bytes of x.

using u32 = unsigned int;
using u64 = unsigned long long;
using i64 = long long;

// ------------------------------------------------------------------------- elements

// Neighbours that are moved at once.
template <typename T, int N>
struct alignas(N * sizeof(T)) Pack {
    T at[N];
};

// Moving at once needs an address that is a multiple of the size, and all elements inside the array.
template <typename T, int N>
__device__ bool moves_at_once(const T* array, i64 first, i64 end) {
    return first + N <= end && (u64)(array + first) % sizeof(Pack<T, N>) == 0;
}

template <typename T, int N>
__device__ Pack<T, N> load(const T* array, i64 first, i64 end) {
    if (moves_at_once<T, N>(array, first, end)) return *(const Pack<T, N>*)(array + first);
    Pack<T, N> pack = {};
    #pragma unroll
    for (int j = 0; j < N; ++j)
        if (first + j < end) pack.at[j] = array[first + j];
    return pack;
}

template <typename T, int N>
__device__ void store(T* array, Pack<T, N> pack, i64 first, i64 end) {
    if (moves_at_once<T, N>(array, first, end)) {
        *(Pack<T, N>*)(array + first) = pack;
        return;
    }
    #pragma unroll
    for (int j = 0; j < N; ++j)
        if (first + j < end) array[first + j] = pack.at[j];
}

// IEEE half precision in 16 bits, converted here: the CUDA header for it is not at hand everywhere.
struct float16 {
    unsigned short bits;
};

__device__ float widened(float16 h) {
    const u32 sign = (u32)(h.bits & 0x8000) << 16, rest = h.bits & 0x7fff;
    if (rest >= 0x7c00) return __uint_as_float(sign | 0x7f800000 | (rest << 13));  // infinity, NaN
    if (rest >= 0x0400) return __uint_as_float(sign | ((rest << 13) + (112 << 23)));
    const float magnitude = (float)rest * 0x1p-24f;  // zero and subnormal
    return sign ? -magnitude : magnitude;
}

// Rounds to nearest, ties to even.
__device__ float16 narrowed(float f) {
    const u32 bits = __float_as_uint(f), sign = bits >> 16 & 0x8000;
    u32 rest = bits & 0x7fffffff;
    if (rest > 0x7f800000)
        rest = 0x7e00;  // NaN
    else if (rest >= 0x477ff000)
        rest = 0x7c00;  // from 65520 on: infinity
    else if (rest < 0x38800000)
        rest = __float2uint_rn(fabsf(f) * 0x1p24f);  // below 2^-14: multiples of 2^-24
    else
        rest = (rest - (112 << 23) + 0xfff + (rest >> 13 & 1)) >> 13;
    return {(unsigned short)(sign | rest)};
}

// x * keep * scale as it stands: a dropped NaN or infinity is NaN, a dropped negative number -0.
template <typename T>
__device__ T masked(T x, bool keep, T scale) {
    return x * (keep ? T(1) : T(0)) * scale;
}

__device__ float16 masked(float16 x, bool keep, float16 scale) {
    return narrowed(masked(widened(x), keep, widened(scale)));  // rounded once: 22 bits fit a float
}

// ------------------------------------------------------------------------- decisions

constexpr int LANES = 32;  // bytes in a Philox block: one for each element

struct Draw {
    u64 words[4];
};

// Philox4x64-10: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011.
// The key is (seed, stream), the counter offset + 1 + block, and above it the purpose.
__device__ Draw philox(u64 seed, u64 stream, u64 offset, u64 block, u64 purpose = 0) {
    u64 a = offset + 1 + block, b = a <= offset /* the carry */, c = purpose, d = 0;
    #pragma unroll
    for (int round = 0; round < 10; ++round) {
        const u64 by_a = 0xD2E7470EE14C6C93, by_c = 0xCA5A826395121157;
        const u64 high_a = __umul64hi(by_a, a), low_a = by_a * a;
        const u64 high_c = __umul64hi(by_c, c), low_c = by_c * c;
        a = high_c ^ b ^ seed;
        b = low_c;
        c = high_a ^ d ^ stream;
        d = low_a;
        seed += 0x9E3779B97F4A7C15;
        stream += 0xBB67AE8584CAA73B;
    }
    return {{a, b, c, d}};
}

// Bit j says whether byte j is at least `bound`, which may be 256: no byte is.
__device__ u32 reached(Draw draw, u32 bound) {
    u32 bits = 0;
    #pragma unroll
    for (int j = 0; j < LANES; ++j)
        bits |= (u32)((u32)(draw.words[j / 8] >> j % 8 * 8 & 0xff) >= bound) << j;
    return bits;
}

// The lower 24 bits of the number of an element.
// SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
__device__ u32 low_bits(u64 key, u64 element) {
    u64 z = key + (element + 1) * 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return (u32)(z >> 40);  // the last step, z ^ z >> 31, changes none of these bits
}

// Bit j says whether element j of the block is kept: whether its number, a byte of Philox above 24
// more bits, is at least the threshold, which may be 2^32: no number is.
__device__ u32 keep_bits(u64 seed, u64 stream, u64 offset, u64 threshold, u64 key, u64 block) {
    const u32 high = (u32)(threshold >> 24), low = threshold & 0xffffff;
    const Draw draw = philox(seed, stream, offset, block);
    u32 bits = reached(draw, high + 1), ties = reached(draw, high) & ~bits;
    if (low == 0) return bits | ties;
    for (; ties; ties &= ties - 1) {
        const int j = __ffs(ties) - 1;  // the first that is left
        bits |= (u32)(low_bits(key, LANES * block + j) >= low) << j;
    }
    return bits;
}

template <int N>
__device__ Pack<bool, N> unpacked(u32 bits) {
    Pack<bool, N> keep;
    #pragma unroll
    for (int j = 0; j < N; ++j) keep.at[j] = bits >> j & 1;
    return keep;
}

__device__ i64 thread_number() {
    return (i64)blockIdx.x * blockDim.x + threadIdx.x;
}

// ------------------------------------------------------------------------- kernels

// keep[i] = number i of the draw >= threshold
__global__ void keep_mask(bool* keep, i64 n, u64 seed, u64 stream, u64 offset, u64 threshold,
                          u64 key) {
    const i64 block = thread_number();
    if (LANES * block >= n) return;
    const u32 bits = keep_bits(seed, stream, offset, threshold, key, block);
    store(keep, unpacked<LANES>(bits), LANES * block, n);
}

// The same for the state that a generator has a number of Philox blocks after the one in memory, as a
// CUDA graph needs it: `state` is its seed, stream and offset.
__global__ void keep_mask_after(bool* keep, const u64* state, i64 n, u64 blocks, u64 threshold) {
    const u64 seed = state[0], stream = state[1], offset = state[2] + blocks;
    const i64 block = thread_number();
    if (LANES * block >= n) return;
    const u64 key = threshold & 0xffffff ? philox(seed, stream, offset, 0, 1).words[0] : 0;
    const u32 bits = keep_bits(seed, stream, offset, threshold, key, block);
    store(keep, unpacked<LANES>(bits), LANES * block, n);
}

// The state that a generator in memory has after that.
__global__ void advance(u64* state, u64 blocks) {
    state[2] += blocks;
}

// y[i] = x[i] * keep[i] * scale
template <typename T>
__global__ void masked_scale(const T* x, const bool* keep, T* y, i64 n, T scale) {
    constexpr int N = 16 / sizeof(T);
    const i64 first = N * thread_number();
    if (first >= n) return;
    const Pack<bool, N> kept = load<bool, N>(keep, first, n);
    Pack<T, N> pack = load<T, N>(x, first, n);
    #pragma unroll
    for (int j = 0; j < N; ++j) pack.at[j] = masked(pack.at[j], kept.at[j], scale);
    store(y, pack, first, n);
}
