// What the CUDA sources that CuPy writes find under g++, beyond tests/kernels/cuda_on_cpu.h.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmath>
#include <type_traits>
#include <vector_types.h>
#include <vector_functions.h>
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
#define warpSize 32

// ------------------------------------------------------------------------- among threads

inline void __threadfence() {}

template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32, int line = __builtin_LINE()) {
    const int lane = on_cpu::lane(), from = lane % width < int(by) ? lane : lane - int(by);
    return on_cpu::shuffle(value, from, mask, line);
}

template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32, int line = __builtin_LINE()) {
    const int lane = on_cpu::lane(), from = lane % width + int(by) >= width ? lane : lane + int(by);
    return on_cpu::shuffle(value, from, mask, line);
}

// Threads run one at a time: an atomic operation is an operation.
#define ATOMIC(name, types, expression)                                                           \
    template <typename T, std::enable_if_t<types<T>, int> = 0>                                    \
    T name(T* at, std::common_type_t<T> value) {                                                  \
        const T before = *at;                                                                     \
        *at = T(expression);                                                                      \
        return before;                                                                            \
    }
ATOMIC(atomicAdd, std::is_arithmetic_v, before + value)
ATOMIC(atomicSub, std::is_arithmetic_v, before - value)
ATOMIC(atomicExch, std::is_arithmetic_v, value)
ATOMIC(atomicAnd, std::is_integral_v, before & value)
ATOMIC(atomicOr, std::is_integral_v, before | value)
ATOMIC(atomicXor, std::is_integral_v, before ^ value)
ATOMIC(atomicMax, std::is_integral_v, before < value ? value : before)
ATOMIC(atomicMin, std::is_integral_v, value < before ? value : before)
#undef ATOMIC

template <typename T>
T atomicCAS(T* at, std::common_type_t<T> expected, std::common_type_t<T> value) {
    const T before = *at;
    if (before == expected) *at = value;
    return before;
}

// ------------------------------------------------------------------------- bits and numbers

inline int __float_as_int(float value) { return on_cpu::same_bits<int>(value); }
inline float __int_as_float(int bits) { return on_cpu::same_bits<float>(bits); }
inline long long __double_as_longlong(double value) { return on_cpu::same_bits<long long>(value); }
inline double __longlong_as_double(long long bits) { return on_cpu::same_bits<double>(bits); }
inline int __double2hiint(double value) { return int(__double_as_longlong(value) >> 32); }
inline int __double2loint(double value) { return int(__double_as_longlong(value)); }
inline double __hiloint2double(int high, int low) {
    return __longlong_as_double((long long)high << 32 | (unsigned)low);
}
inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
inline int __popcll(unsigned long long bits) { return __builtin_popcountll(bits); }
inline int __clz(int bits) { return bits ? __builtin_clz(bits) : 32; }
inline int __clzll(long long bits) { return bits ? __builtin_clzll(bits) : 64; }
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((unsigned long long)a * b >> 32); }

template <typename T>
T __ldg(const T* at) { return *at; }

template <typename A, typename B>
std::common_type_t<A, B> max(A a, B b) {
    using T = std::common_type_t<A, B>;
    if constexpr (std::is_floating_point_v<T>) return std::fmax(T(a), T(b));
    return T(a) < T(b) ? T(b) : T(a);
}

template <typename A, typename B>
std::common_type_t<A, B> min(A a, B b) {
    using T = std::common_type_t<A, B>;
    if constexpr (std::is_floating_point_v<T>) return std::fmin(T(a), T(b));
    return T(b) < T(a) ? T(b) : T(a);
}

inline double rsqrt(double value) { return 1 / sqrt(value); }
inline float rsqrt(float value) { return 1 / sqrtf(value); }
inline float rsqrtf(float value) { return 1 / sqrtf(value); }
using std::isfinite;
using std::isinf;
using std::isnan;
using std::signbit;

#include <cuda_fp16.h>
// what nearly every source of CuPy's begins with; here, so that it is compiled once (build.py)
#ifndef NOTHING_OF_CUPY
#include <cupy/complex.cuh>
#include <cupy/carray.cuh>
#include <cupy/atomics.cuh>
#include <cupy/math_constants.h>
#endif
