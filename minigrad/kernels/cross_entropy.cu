// Softmax cross-entropy against class indices: losses and gradient in one pass, then their mean.
//
// Logits lie as (examples, classes, inner): a row is what one label belongs to, its classes stand
// `inner` elements apart. A warp has a row; its sums are taken in an order that never changes.

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

// The larger of two numbers, and NaN if one of them is NaN (fmax would drop it).
template <typename T>
__device__ T larger(T a, T b) {
    return a > b || a != a ? a : b;
}

template <typename T>
__device__ T nan() {
    return T(__uint_as_float(0x7fc00000));
}

// losses[r]   = -sum_c q_c log softmax(x_r)_c
// gradient[r] = softmax(x_r) sum_c q_c - q            for a gradient of 1 flowing into losses[r]
// counts[r]   = weight of the label                   what a mean divides by
//
// with q_c = weight_c * (c == label ? on : off). An ignored row has q = 0 and counts nothing. A label
// out of range makes a loss of NaN and a gradient of zeros, and `wrong` remembers it: the largest
// such label, with negative ones above all others. 0 is never wrong, and stands for none.
template <typename T, typename Label>
__global__ void cross_entropy_rows(const T* x, const Label* labels, const T* weight, T* losses,
                                   T* counts, T* gradient, u64* wrong, i64 rows, i64 classes,
                                   i64 inner, i64 ignored, double on, double off) {
    const i64 row = ((i64)blockIdx.x * blockDim.x + threadIdx.x) / 32;
    const int lane = threadIdx.x % 32;
    if (row >= rows) return;  // the whole warp at once
    const i64 start = row / inner * classes * inner + row % inner;
    x += start;
    gradient += start;
    const i64 label = labels[row];
    const bool counted = label != ignored;

    if (counted && (label < 0 || label >= classes)) {
        for (i64 c = lane; c < classes; c += 32) gradient[c * inner] = 0;
        if (lane == 0) {
            losses[row] = nan<T>();
            counts[row] = 0;
            atomicMax(wrong, (u64)label);
        }
        return;
    }

    T top = x[0];
    for (i64 c = lane; c < classes; c += 32) top = larger(top, x[c * inner]);
    #pragma unroll
    for (int apart = 16; apart; apart /= 2) top = larger(top, __shfl_xor_sync(WARP, top, apart));

    T total = 0;
    #pragma unroll 1
    for (i64 c = lane; c < classes; c += 32) total += exp(x[c * inner] - top);
    total = warp_sum(total);
    const T log_total = log(total);

    const auto share = [=](i64 c) {
        const double q = !counted ? 0.0 : c == label ? on : off;
        return T(weight ? q * (double)weight[c] : q);
    };
    T loss = 0, shares = 0;
    #pragma unroll 1
    for (i64 c = lane; c < classes; c += 32) {
        const T q = share(c);
        loss += q * (q == 0 ? T(0) : x[c * inner] - top - log_total);  // 0 log 0 = 0
        shares += q;
    }
    loss = warp_sum(loss);
    shares = warp_sum(shares);

    #pragma unroll 1
    for (i64 c = lane; c < classes; c += 32)
        gradient[c * inner] = exp(x[c * inner] - top) / total * shares - share(c);
    if (lane == 0) {
        losses[row] = -loss;
        counts[row] = !counted ? T(0) : weight ? weight[label] : T(1);
    }
}

// loss = sum of losses / divisor, where the divisor is the sum of counts, or 1 for a mere sum. Of
// nothing the mean is NaN, and the divisor 1: gradients are zeros then.
//
// One block, whose threads take every 1024th row.
template <typename T>
__global__ void cross_entropy_reduce(const T* losses, const T* counts, T* loss, T* divisor,
                                     i64 rows, bool mean) {
    __shared__ double partial[32][2];
    double total = 0, count = 0;
    for (i64 row = threadIdx.x; row < rows; row += blockDim.x) {
        total += losses[row];
        count += counts[row];
    }
    total = warp_sum(total);
    count = warp_sum(count);
    if (threadIdx.x % 32 == 0) {
        partial[threadIdx.x / 32][0] = total;
        partial[threadIdx.x / 32][1] = count;
    }
    __syncthreads();
    if (threadIdx.x != 0) return;
    total = count = 0;
    for (int warp = 0; warp < (int)blockDim.x / 32; ++warp) {
        total += partial[warp][0];
        count += partial[warp][1];
    }
    const T by = mean && T(count) != 0 ? T(count) : T(1);
    *loss = mean && T(count) == 0 ? nan<T>() : T(total) / by;
    *divisor = by;
}

// out = gradient * (g / divisor), where g has one number for all rows or one for each, and no
// divisor stands for 1; out may be gradient
template <typename T>
__global__ void cross_entropy_backward(const T* g, const T* gradient, const T* divisor, T* out,
                                       i64 n, i64 classes, i64 inner, bool each) {
    const i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const i64 row = each ? i / (classes * inner) * inner + i % inner : 0;
    out[i] = gradient[i] * (divisor ? g[row] / *divisor : g[row]);
}
