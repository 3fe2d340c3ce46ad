// A batch from a data set of bytes that lives on the device.

using u64 = unsigned long long;
using i64 = long long;

// out[i, j] = data[index[i], j] / divisor, where -1 stands for the last row, as in NumPy. An index out
// of range makes a row of NaN, and `wrong` remembers it: the largest such index, with negative ones
// above all others. 0 stands for none.
//
// A block has a piece of one row of the batch: blocks are counted along one dimension, which alone may
// be longer than 65,535.
template <typename Index>
__global__ void gather_rows(const unsigned char* data, const Index* index, float* out, u64* wrong,
                            i64 rows, i64 columns, float divisor) {
    const i64 pieces = (columns + blockDim.x - 1) / blockDim.x;
    const i64 i = blockIdx.x / pieces, j = blockIdx.x % pieces * blockDim.x + threadIdx.x;
    const i64 asked = index[i], row = asked < 0 ? asked + rows : asked;
    if (j >= columns) return;
    if (row < 0 || row >= rows) {
        out[i * columns + j] = __uint_as_float(0x7fc00000);
        if (j == 0) atomicMax(wrong, (u64)asked);
        return;
    }
    out[i * columns + j] = (float)data[row * columns + j] / divisor;
}
