// What a CUDA source finds under g++ in the place of a GPU: keywords, built-in variables, functions.
//
// Sources are compiled as for a thread sanitizer, which calls a function before every access to
// memory. The machine behind this header, cuda_on_cpu.cpp, supplies those functions, and so sees all
// that a kernel reads and writes.
#pragma once
#include <math.h>

#include <type_traits>
#include <utility>

#include "cuda_on_cpu_machine.h"

#define UNSEEN __attribute__((no_sanitize("thread", "undefined")))

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __restrict__ __restrict
#define __constant__ static const
#define __shared__ static  // the only variables of a library that are neither constant nor initialized

#ifndef __VECTOR_TYPES_H__  // NVIDIA's header, which has one
using dim3 = on_cpu::Extent;
#endif

// ------------------------------------------------------------------------- the machine

namespace on_cpu {

struct Builtins {
    Extent thread_index, block_index, block_size, grid_size;
};
extern Builtins builtins;

int lane();
void meet_block(int line);
void meet_warp(unsigned mask, int line);
// Gives `bits` to the lanes that ask this one, and returns those of the lane that this one asks.
unsigned long long exchange(unsigned long long bits, int asked, unsigned mask, int line);
void touch_atomically(const void* at, unsigned long size);

template <typename To, typename From>
UNSEEN To same_bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "of one size");
    To to;
    __builtin_memcpy(&to, &from, sizeof to);
    return to;
}

template <typename T>
UNSEEN T shuffle(T value, int asked, unsigned mask, int line) {
    static_assert(sizeof value == 4 || sizeof value == 8, "what shuffles move");
    unsigned long long bits = 0;
    __builtin_memcpy(&bits, &value, sizeof value);
    bits = exchange(bits, asked, mask, line);
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
}

// --------------------------------------------------------------- how a kernel is called from outside

template <typename T>
constexpr char kind_of() {
    using Target = std::remove_pointer_t<T>;
    return !std::is_pointer_v<T> ? 'v' : std::is_const_v<Target> ? 'c' : 'm';
}

template <typename... Arguments>
struct Described {
    static constexpr unsigned long sizes[] = {sizeof(Arguments)..., 0};
    static constexpr char kinds[] = {kind_of<Arguments>()..., 0};
    static constexpr const char* types() { return __PRETTY_FUNCTION__; }
};

template <typename... Arguments, unsigned long... I>
UNSEEN void call(void (*kernel)(Arguments...), void** values, std::index_sequence<I...>) {
    kernel(*(std::remove_const_t<Arguments>*)values[I]...);
}

template <auto kernel, typename... Arguments>
UNSEEN void enter(void** values) {
    call<Arguments...>(kernel, values, std::index_sequence_for<Arguments...>());
}

template <auto kernel, typename... Arguments>
constexpr Kernel described(const char* name, void (*)(Arguments...)) {
    using D = Described<Arguments...>;
    return {name, D::types(), D::kinds, D::sizes, enter<kernel, Arguments...>};
}

}  // namespace on_cpu

// Where the linker puts __shared__ variables.
extern "C" unsigned char __bss_start[] __attribute__((visibility("hidden")));
extern "C" unsigned char _end[] __attribute__((visibility("hidden")));

// Below a source stands `LIBRARY(checked, waits, KERNEL("name", expression), ...)`, which describes it.
#define KERNEL(name, ...) on_cpu::described<&__VA_ARGS__>(name, &__VA_ARGS__)
#define LIBRARY(checked, waits, ...)                                                              \
    extern "C" __attribute__((visibility("default"))) const on_cpu::Library* library() {         \
        static constexpr on_cpu::Kernel kernels[] = {__VA_ARGS__, {}};                               \
        static const on_cpu::Library all = {kernels, __bss_start, _end, checked, waits};          \
        return &all;                                                                              \
    }

// ------------------------------------------------------------------------- what CUDA names

#define threadIdx (on_cpu::builtins.thread_index)
#define blockIdx (on_cpu::builtins.block_index)
#define blockDim (on_cpu::builtins.block_size)
#define gridDim (on_cpu::builtins.grid_size)

inline void __syncthreads(int line = __builtin_LINE()) { on_cpu::meet_block(line); }

inline void __syncwarp(unsigned mask = 0xffffffff, int line = __builtin_LINE()) {
    on_cpu::meet_warp(mask, line);
}

template <typename T>
T __shfl_sync(unsigned mask, T value, int lane, int = 32, int line = __builtin_LINE()) {
    return on_cpu::shuffle(value, lane % 32, mask, line);
}

template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int = 32, int line = __builtin_LINE()) {
    return on_cpu::shuffle(value, on_cpu::lane() ^ bits, mask, line);
}

#ifndef ON_CPU_OWN_ATOMICS
// Integers only: a sum of floats in the order of arrival differs from run to run.
template <typename T>
UNSEEN T atomicAdd(T* at, T value) {
    static_assert(std::is_integral_v<T>, "no atomics on floats");
    on_cpu::touch_atomically(at, sizeof *at);
    const T before = *at;
    *at = before + value;
    return before;
}

template <typename T>
UNSEEN T atomicMax(T* at, T value) {
    static_assert(std::is_integral_v<T>, "no atomics on floats");
    on_cpu::touch_atomically(at, sizeof *at);
    const T before = *at;
    *at = before < value ? value : before;
    return before;
}
#endif

inline int __ffs(int bits) { return __builtin_ffs(bits); }

inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
inline float __uint_as_float(unsigned bits) { return on_cpu::same_bits<float>(bits); }
inline unsigned __float_as_uint(float value) { return on_cpu::same_bits<unsigned>(value); }
inline unsigned __float2uint_rn(float value) { return (unsigned)llrintf(value); }
