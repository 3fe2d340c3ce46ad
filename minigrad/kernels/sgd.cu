// Stochastic gradient descent on many parameters in one launch.
//
// Pointers and sizes travel among the kernel's arguments, so that no step copies anything to the
// device. A block has CHUNK elements of one tensor; `first_block` says where each tensor's begin.

using i64 = long long;

constexpr int TENSORS = 96;  // what fits the 4 KiB of a kernel's arguments
constexpr int CHUNK = 2048;

template <typename T>
struct Tensors {
    T* parameter[TENSORS];
    const T* gradient[TENSORS];
    T* buffer[TENSORS];  // of momentum; null without
    i64 size[TENSORS];
    int first_block[TENSORS + 1];
    bool fresh[TENSORS];  // its buffer is to be filled, not yet to be read
};

// `now`, if it is not null, has the settings in memory, where a CUDA graph finds those of the day.
template <typename T>
__global__ void sgd_step(Tensors<T> all, int count, T lr, T momentum, T gain, T weight_decay,
                         bool decays, bool nesterov, bool maximize, const double* now) {
    if (now) {
        lr = (T)now[0], momentum = (T)now[1], gain = (T)now[2], weight_decay = (T)now[3];
        decays = now[3] != 0, nesterov = now[4] != 0, maximize = now[5] != 0;
    }
    int t = 0;  // this block's tensor: the last that begins at or before it
    for (int above = count; above - t > 1;) {
        const int middle = (t + above) / 2;
        if (all.first_block[middle] <= (int)blockIdx.x)
            t = middle;
        else
            above = middle;
    }
    T* const __restrict__ parameter = all.parameter[t];
    const T* const __restrict__ gradient = all.gradient[t];
    T* const __restrict__ buffer = all.buffer[t];
    const bool fresh = all.fresh[t];
    const i64 start = (i64)((int)blockIdx.x - all.first_block[t]) * CHUNK;
    const i64 end = start + CHUNK < all.size[t] ? start + CHUNK : all.size[t];

    for (i64 i = start + threadIdx.x; i < end; i += blockDim.x) {
        const T p = parameter[i];
        T g = gradient[i];
        if (maximize) g = -g;
        if (decays) g = g + weight_decay * p;
        if (buffer) {
            const T b = fresh ? g : buffer[i] * momentum + gain * g;
            buffer[i] = b;
            g = nesterov ? g + momentum * b : b;
        }
        parameter[i] = p - lr * g;
    }
}
