// What the CUDA sources that CuPy writes find under g++, beyond tests/kernels/cuda_on_cpu.h.
#pragma once
#include <cuda_fp16.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmath>
#include <type_traits>
// NVIDIA's headers say these in a way that g++ takes for attributes
#undef __global__
#undef __device__
#undef __host__
#undef __forceinline__
#undef __noinline__
#undef __constant__
#undef __shared__
#undef __launch_bounds__
#define ON_CPU_OWN_ATOMICS
#include "cuda_on_cpu.h"
#define __noinline__
#define __CUDACC_VER_MAJOR__ 13
#define __CUDACC_VER_MINOR__ 0

// Threads run one at a time: an atomic operation is an operation.
#define ATOMIC(name, expression)                                                          \
    template <typename T, std::enable_if_t<std::is_arithmetic_v<T>, int> = 0>             \
    T name(T* at, std::common_type_t<T> value) {                                          \
        const T before = *at;                                                             \
        *at = T(expression);                                                              \
        return before;                                                                    \
    }
ATOMIC(atomicAdd, before + value)
ATOMIC(atomicMax, before < value ? value : before)
ATOMIC(atomicMin, value < before ? value : before)
#undef ATOMIC

template <typename T>
T atomicCAS(T* at, std::common_type_t<T> expected, std::common_type_t<T> value) {
    const T before = *at;
    if (before == expected) *at = value;
    return before;
}

inline int __float_as_int(float value) { return on_cpu::same_bits<int>(value); }
inline float __int_as_float(int bits) { return on_cpu::same_bits<float>(bits); }
inline long long __double_as_longlong(double value) { return on_cpu::same_bits<long long>(value); }
inline double __longlong_as_double(long long bits) { return on_cpu::same_bits<double>(bits); }
inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
inline int __clz(int bits) { return bits ? __builtin_clz(bits) : 32; }
inline int __popcll(unsigned long long bits) { return __builtin_popcountll(bits); }

// NaN is no extreme of two floats.
#define EXTREME(name, of_floats, first)                                                   \
    template <typename A, typename B>                                                     \
    std::common_type_t<A, B> name(A a, B b) {                                             \
        using T = std::common_type_t<A, B>;                                               \
        if constexpr (std::is_floating_point_v<T>) return of_floats(T(a), T(b));          \
        return first ? T(a) : T(b);                                                       \
    }
EXTREME(max, std::fmax, T(b) < T(a))
EXTREME(min, std::fmin, T(a) < T(b))
#undef EXTREME
using std::isfinite;
using std::isinf;
using std::isnan;
using std::signbit;

// what nearly every source of CuPy's begins with; here, so that it is compiled once (build.py)
#include <cupy/complex.cuh>
#include <cupy/carray.cuh>
#include <cupy/atomics.cuh>
#include <cupy/math_constants.h>
