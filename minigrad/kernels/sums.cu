// The sum of a matrix over its rows, as the gradient of a bias is.

using i64 = long long;

constexpr int TILE = 32;  // columns of a block: a warp is one row of them

// sums[c] = sum_r x[r, c]
//
// A block has all rows of its columns: every sum is taken in an order that never changes.
template <typename T>
__global__ void sum_rows(const T* x, T* sums, i64 rows, i64 columns) {
    __shared__ T partial[TILE][TILE];
    const i64 c = (i64)blockIdx.x * TILE + threadIdx.x;
    T sum = 0;
    if (c < columns)
        for (i64 r = threadIdx.y; r < rows; r += TILE) sum += x[r * columns + c];
    partial[threadIdx.y][threadIdx.x] = sum;
    for (int half = TILE / 2; half; half /= 2) {
        __syncthreads();
        if ((int)threadIdx.y < half)
            partial[threadIdx.y][threadIdx.x] += partial[threadIdx.y + half][threadIdx.x];
    }
    if (threadIdx.y == 0 && c < columns) sums[c] = partial[0][threadIdx.x];
}
