// The end of a dense layer: y = max(x + bias, 0), and its derivative with the bias's beside it.

using i64 = long long;

constexpr int TILE = 32;  // columns of a block: a warp is one row of them

// y[r, c] = max(x[r, c] + bias[c], 0), NaN where the sum is NaN; y may be x
template <typename T>
__global__ void bias_relu_forward(const T* x, const T* bias, T* y, i64 rows, i64 columns) {
    const i64 c = (i64)blockIdx.x * TILE + threadIdx.x;
    if (c >= columns) return;
    const T b = bias[c];
    for (i64 r = (i64)blockIdx.y * blockDim.y + threadIdx.y; r < rows;
         r += (i64)gridDim.y * blockDim.y) {
        const T sum = x[r * columns + c] + b;
        y[r * columns + c] = sum < 0 ? T(0) : sum;
    }
}

// dx[r, c] = g[r, c] * (y[r, c] > 0), dbias[c] = sum_r dx[r, c]; dx may be g
//
// A block has all rows of its columns: every sum is taken in an order that never changes.
template <typename T>
__global__ void bias_relu_backward(const T* g, const T* y, T* dx, T* dbias, i64 rows,
                                   i64 columns) {
    __shared__ T partial[TILE][TILE];
    const i64 c = (i64)blockIdx.x * TILE + threadIdx.x;
    T sum = 0;
    if (c < columns) {
        for (i64 r = threadIdx.y; r < rows; r += TILE) {
            const T d = g[r * columns + c] * T(y[r * columns + c] > 0);
            dx[r * columns + c] = d;
            sum += d;
        }
    }
    partial[threadIdx.y][threadIdx.x] = sum;
    for (int half = TILE / 2; half; half /= 2) {
        __syncthreads();
        if ((int)threadIdx.y < half)
            partial[threadIdx.y][threadIdx.x] += partial[threadIdx.y + half][threadIdx.x];
    }
    if (threadIdx.y == 0 && c < columns) dbias[c] = partial[0][threadIdx.x];
}
