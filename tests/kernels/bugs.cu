// Kernels with one mistake each, and their like without it: what the harness has to tell apart.

using u64 = unsigned long long;

__device__ int number() { return blockIdx.x * blockDim.x + threadIdx.x; }

// ------------------------------------------------------------------------- memory

__global__ void copied(const float* x, float* y, int n) {
    if (number() < n) y[number()] = x[number()];
}

__global__ void copied_one_too_many(const float* x, float* y, int n) {
    if (number() <= n) y[number()] = x[0];
}

__global__ void read_one_too_many(const float* x, float* y, int n) {
    if (number() < n) y[number()] = x[number() + 1];
}

__global__ void written_before_the_start(const float* x, float* y, int n) {
    if (number() < n) y[number() - 1] = x[number()];
}

__global__ void written_to_what_is_const(const float* x, float* y, int n) {
    if (number() < n) const_cast<float*>(x)[number()] = y[number()] = 1;
}

__global__ void written_from_afar(const float* x, float* y, int n) {
    if (number() == 0) *(float*)((char*)y + 1000000) = x[n - 1];
}

// Through the C library, which the compiler does not watch: a matter for the canaries.
__global__ void set_one_too_many(const float* x, float* y, int n) {
    if (number() == 0) __builtin_memset(y, 0, (n + 1) * sizeof *x);
}

__global__ void read_before_it_is_written(const float* x, float* y, int n) {
    if (number() < n) y[number()] += x[number()];
}

__global__ void through_null(const float* x, float* y, int n) {
    if (number() < n) y[number()] = x[number()];
}

struct alignas(16) Four {
    float at[4];
};

__global__ void copied_by_fours(const float* x, float* y, int n) {
    if (4 * number() < n) ((Four*)y)[number()] = ((const Four*)x)[number()];
}

__global__ void indexed_beyond_a_local_array(const float* x, float* y, int n) {
    float own[4] = {};
    own[n + threadIdx.x] = x[0];
    y[0] = own[n];
}

__global__ void shifted_too_far(const float* x, float* y, int n) {
    y[number()] = x[0] + (1 << n);
}

// ------------------------------------------------------------------------- barriers

constexpr int BLOCK = 64;

template <bool barrier>
__device__ void reversed(float* x) {
    __shared__ float held[BLOCK];
    held[threadIdx.x] = x[threadIdx.x];
    if (barrier) __syncthreads();
    x[threadIdx.x] = held[BLOCK - 1 - threadIdx.x];
}

__global__ void reversed_with_a_barrier(float* x) { reversed<true>(x); }
__global__ void reversed_without_a_barrier(float* x) { reversed<false>(x); }

// Right in some orders of the threads, for all that: thread 0 alone reads, and may come last.
__global__ void summed_without_a_barrier(float* x) {
    __shared__ float held[BLOCK];
    held[threadIdx.x] = x[threadIdx.x];
    if (threadIdx.x == 0) {
        float sum = 0;
        for (int i = 0; i < BLOCK; ++i) sum += held[i];
        x[0] = sum;
    }
}

__global__ void half_of_a_barrier(float* x) {
    if (threadIdx.x < BLOCK / 2) __syncthreads();
    x[threadIdx.x] = 0;
}

__global__ void two_barriers_at_once(float* x) {
    if (threadIdx.x < BLOCK / 2)
        __syncthreads();
    else
        __syncthreads();
    x[threadIdx.x] = 0;
}

__global__ void left_before_the_barrier(float* x) {
    if (threadIdx.x == 5) return;
    __syncthreads();
    x[threadIdx.x] = 0;
}

__global__ void left_between_two_rounds(float* x) {
    for (int round = 0; round < 2; ++round) {
        __syncthreads();
        if (threadIdx.x == 5) return;
    }
    x[threadIdx.x] = 0;
}

// Each reads what its neighbor is about to write, or has written.
__global__ void moved_in_place(float* x) {
    if (threadIdx.x + 1 < BLOCK) x[threadIdx.x] = x[threadIdx.x + 1];
}

// A shuffle is no barrier for memory.
__global__ void written_while_the_warp_reads(float* x) {
    x[threadIdx.x] = __shfl_xor_sync(0xffffffff, x[0], 1);
}

// The first warp waits for its own threads alone.
__global__ void written_while_another_warp_reads(float* x) {
    const float first = x[0];
    __syncwarp();
    x[threadIdx.x] = first + 1;
}

__global__ void shared_memory_of_the_block_before(float* x) {
    __shared__ float held[BLOCK];
    if (blockIdx.x == 0) held[threadIdx.x] = x[threadIdx.x];
    x[threadIdx.x] = blockIdx.x == 0 ? 0 : held[threadIdx.x];
}

// ------------------------------------------------------------------------- warps

__global__ void turned_by_shuffles(float* x) {
    x[threadIdx.x] = __shfl_sync(0xffffffff, x[threadIdx.x], threadIdx.x + 1);
}

__global__ void halves_shuffle_apart(float* x) {
    const float mine = x[threadIdx.x];
    if (threadIdx.x % 32 < 16)
        x[threadIdx.x] = __shfl_xor_sync(0x0000ffff, mine, 1);
    else
        x[threadIdx.x] = __shfl_xor_sync(0xffff0000, mine, 2);
}

__global__ void shuffled_without_the_others(float* x) {
    if (threadIdx.x % 32 < 16) x[threadIdx.x] = __shfl_xor_sync(0xffffffff, x[threadIdx.x], 1);
}

__global__ void shuffled_from_outside_the_mask(float* x) {
    if (threadIdx.x % 32 < 16) x[threadIdx.x] = __shfl_xor_sync(0x0000ffff, x[threadIdx.x], 16);
}

__global__ void shuffled_outside_the_own_mask(float* x) {
    x[threadIdx.x] = __shfl_xor_sync(0x0000ffff, x[threadIdx.x], 1);
}

template <bool barrier>
__device__ void neighbors(float* x) {
    __shared__ float held[BLOCK];
    held[threadIdx.x] = x[threadIdx.x];
    if (barrier) __syncwarp();
    x[threadIdx.x] = held[threadIdx.x ^ 1];
}

__global__ void neighbors_with_a_barrier(float* x) { neighbors<true>(x); }
__global__ void neighbors_without_a_barrier(float* x) { neighbors<false>(x); }

__global__ void a_warp_barrier_for_two_warps(float* x) {
    __shared__ float held[BLOCK];
    held[threadIdx.x] = x[threadIdx.x];
    __syncwarp();
    x[threadIdx.x] = held[threadIdx.x ^ 32];
}

// ------------------------------------------------------------------------- blocks and atomics

__global__ void blocks_share_a_word(int* x) {
    if (threadIdx.x == 0) x[0] = 7;
}

__global__ void counted(int* x) { atomicAdd(x, 1); }

__global__ void counted_and_read(int* x) {
    if (blockIdx.x == 0)
        x[1] = x[0];
    else
        atomicAdd(x, 1);
}

__global__ void placed_by_arrival(int* x) { x[1 + atomicAdd(x, 1)] = number(); }

__global__ void largest(u64* x) { atomicMax(x, (u64)number() * 37 % 101); }

// ------------------------------------------------------------------------- arguments

struct Pair {
    float* y;
    int n;
    bool flag;
};

__global__ void by_value(Pair pair, double number, bool flag, u64 word, unsigned char byte) {
    if (threadIdx.x < (unsigned)pair.n && pair.flag && flag)
        pair.y[threadIdx.x] = number + word + byte;
}

__global__ void three_dimensions(int* x) {
    const int block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    const int thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    x[block * blockDim.x * blockDim.y * blockDim.z + thread] = block * 1000 + thread;
}

__global__ void halved_often(float* x, int times) {
    for (int i = 0; i < times; ++i) x[threadIdx.x] *= 0.5f;
}
