// The rectifier, and its derivative: an element for each thread.

using i64 = long long;

__device__ i64 thread_number() {
    return (i64)blockIdx.x * blockDim.x + threadIdx.x;
}

// y[i] = max(x[i], 0), NaN where x is NaN; y may be x
template <typename T>
__global__ void relu_forward(const T* x, T* y, i64 n) {
    const i64 i = thread_number();
    if (i < n) y[i] = x[i] < 0 ? T(0) : x[i];
}

// dx[i] = g[i] where y[i] is not 0, and 0 elsewhere: selected, since g[i] may be infinite there
template <typename T>
__global__ void relu_backward(const T* g, const T* y, T* dx, i64 n) {
    const i64 i = thread_number();
    if (i < n) dx[i] = y[i] == 0 ? T(0) : g[i];
}
