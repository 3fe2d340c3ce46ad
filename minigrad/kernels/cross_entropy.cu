// Softmax cross-entropy against class indices: the loss, and its gradient.
//
// Logits lie as (examples, classes, inner): a row is what one label belongs to, its classes stand
// `inner` elements apart. A warp has a row; all sums are taken in an order that never changes.

using u32 = unsigned int;
using u64 = unsigned long long;
using i64 = long long;

constexpr u32 WARP = 0xffffffff;

template <typename T>
__device__ T warp_sum(T value) {
    #pragma unroll
    for (int apart = 16; apart; apart /= 2) value += __shfl_xor_sync(WARP, value, apart);
    return value;
}

// The sum over a block, for each of its threads, all of which have to come here.
__device__ double block_sum(double value) {
    __shared__ double partial[32];
    value = warp_sum(value);
    __syncthreads();  // the last sum has been read
    if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = value;
    __syncthreads();
    double total = 0;
    for (int warp = 0; warp < (int)blockDim.x / 32; ++warp) total += partial[warp];
    return total;
}

// The larger of two numbers, and NaN if one of them is NaN (fmax would drop it).
template <typename T>
__device__ T larger(T a, T b) {
    return a > b || a != a ? a : b;
}

template <typename T>
__device__ T nan() {
    return T(__uint_as_float(0x7fc00000));
}

// ------------------------------------------------------------------------- rows and labels

__device__ i64 start_of(i64 row, i64 classes, i64 inner) {
    return row / inner * classes * inner + row % inner;
}

__device__ bool in_range(i64 label, i64 classes) {
    return label >= 0 && label < classes;
}

// softmax(x)_c is exp(x_c - top) / total
template <typename T>
struct Softmax {
    T top, total;
};

template <typename T>
__device__ Softmax<T> softmax_of(const T* x, i64 classes, i64 inner, int lane) {
    T top = x[0], total = 0;
    for (i64 c = lane; c < classes; c += 32) top = larger(top, x[c * inner]);
    #pragma unroll
    for (int apart = 16; apart; apart /= 2) top = larger(top, __shfl_xor_sync(WARP, top, apart));
    #pragma unroll 1
    for (i64 c = lane; c < classes; c += 32) total += exp(x[c * inner] - top);
    return {top, warp_sum(total)};
}

// q_c = weight_c * (c == label ? on : off): the share of class c in a row's loss; 0 if it is ignored
template <typename T>
__device__ T share(i64 c, i64 label, i64 ignored, const T* weight, double on, double off) {
    const double q = label == ignored ? 0.0 : c == label ? on : off;
    return T(weight ? q * (double)weight[c] : q);
}

// What a row counts in a mean: the weight of its label, and nothing if that is ignored or wrong.
template <typename T>
__device__ T count_of(i64 label, i64 classes, i64 ignored, const T* weight) {
    if (label == ignored || !in_range(label, classes)) return 0;
    return weight ? weight[label] : T(1);
}

// A sum is divided by 1, and so is a mean over nothing, whose gradients are zeros then.
template <typename T>
__device__ T divisor_of(double count, bool mean) {
    return mean && T(count) != 0 ? T(count) : T(1);
}

template <typename T>
__device__ T reduced(double total, double count, bool mean) {
    return mean && T(count) == 0 ? nan<T>() : T(total) / divisor_of<T>(count, mean);
}

// ------------------------------------------------------------------------- kernels

// losses[r] = -sum_c q_c log softmax(x_r)_c, or their sum or mean, wherever a pointer is not null:
// `losses` of all rows; `loss`, if there is one block; else the `sums` of each block, of losses and
// counts, which cross_entropy_finish adds up.
//
// A label out of range makes a loss of NaN, and `wrong` remembers it: the largest such label, with
// negative ones above all others. 0 is never wrong, and stands for none.
template <typename T, typename Label>
__global__ void cross_entropy_forward(const T* x, const Label* labels, const T* weight, T* losses,
                                      T* loss, double* sums, u64* wrong, i64 rows, i64 classes,
                                      i64 inner, i64 ignored, double on, double off, bool mean) {
    const int lane = threadIdx.x % 32, warps = blockDim.x / 32;
    double total = 0, count = 0;  // of this warp's rows; lane 0 knows them
    for (i64 row = (i64)blockIdx.x * warps + threadIdx.x / 32; row < rows;
         row += (i64)gridDim.x * warps) {
        const i64 label = labels[row];
        T own = 0;
        if (label != ignored && !in_range(label, classes)) {
            own = nan<T>();
            if (lane == 0) atomicMax(wrong, (u64)label);
        } else {
            const T* const logits = x + start_of(row, classes, inner);
            const Softmax<T> softmax = softmax_of(logits, classes, inner, lane);
            const T log_total = log(softmax.total);
            #pragma unroll 1
            for (i64 c = lane; c < classes; c += 32) {
                const T q = share(c, label, ignored, weight, on, off);  // 0 log 0 = 0
                own -= q * (q == 0 ? T(0) : logits[c * inner] - softmax.top - log_total);
            }
            own = warp_sum(own);
        }
        if (lane == 0) {
            if (losses) losses[row] = own;
            total += own;
            count += count_of(label, classes, ignored, weight);
        }
    }
    if (losses) return;
    total = block_sum(total);
    count = block_sum(count);
    if (threadIdx.x != 0) return;
    if (loss) {
        *loss = reduced<T>(total, count, mean);
    } else {
        sums[2 * blockIdx.x] = total;
        sums[2 * blockIdx.x + 1] = count;
    }
}

// loss = the sum or mean of all losses, from the sums of blocks; in one block
template <typename T>
__global__ void cross_entropy_finish(const double* sums, T* loss, int blocks, bool mean) {
    double total = 0, count = 0;
    for (int i = threadIdx.x; i < blocks; i += blockDim.x) {
        total += sums[2 * i];
        count += sums[2 * i + 1];
    }
    total = block_sum(total);
    count = block_sum(count);
    if (threadIdx.x == 0) *loss = reduced<T>(total, count, mean);
}

// divisor = what the mean divides by; in one block
template <typename T, typename Label>
__global__ void cross_entropy_divisor(const Label* labels, const T* weight, T* divisor, i64 rows,
                                      i64 classes, i64 ignored) {
    double count = 0;
    for (i64 row = threadIdx.x; row < rows; row += blockDim.x)
        count += count_of(labels[row], classes, ignored, weight);
    count = block_sum(count);
    if (threadIdx.x == 0) *divisor = divisor_of<T>(count, true);
}

// dx_r = (softmax(x_r) sum_c q_c - q) g / divisor, where g has one number for all rows or one for
// each. A mean over few rows brings no divisor: each block counts them itself, which costs less
// than a launch. A label out of range makes zeros.
template <typename T, typename Label>
__global__ void cross_entropy_backward(const T* g, const T* x, const Label* labels,
                                       const T* weight, const T* divisor, T* dx, i64 rows,
                                       i64 classes, i64 inner, i64 ignored, double on, double off,
                                       bool each, bool mean) {
    T by = divisor ? *divisor : T(1);
    if (mean && !divisor) {
        double count = 0;
        for (i64 row = threadIdx.x; row < rows; row += blockDim.x)
            count += count_of(labels[row], classes, ignored, weight);
        by = divisor_of<T>(block_sum(count), true);
    }
    const i64 row = ((i64)blockIdx.x * blockDim.x + threadIdx.x) / 32;
    const int lane = threadIdx.x % 32;
    if (row >= rows) return;  // the whole warp at once
    const i64 start = start_of(row, classes, inner), label = labels[row];
    x += start;
    dx += start;
    if (label != ignored && !in_range(label, classes)) {
        for (i64 c = lane; c < classes; c += 32) dx[c * inner] = 0;
        return;
    }
    const Softmax<T> softmax = softmax_of(x, classes, inner, lane);
    T shares = 0;
    for (i64 c = lane; c < classes; c += 32) shares += share(c, label, ignored, weight, on, off);
    shares = warp_sum(shares);
    const T factor = g[each ? row : 0] / by;
    #pragma unroll 1
    for (i64 c = lane; c < classes; c += 32) {
        const T q = share(c, label, ignored, weight, on, off);
        dx[c * inner] = (exp(x[c * inner] - softmax.top) / softmax.total * shares - q) * factor;
    }
}
