// What the machine that runs kernels on the CPU is told: a launch, and the kernels of a library.
//
// `cuda_on_cpu.cpp` is the machine, `cuda_on_cpu.h` what a CUDA source finds; both include this, and
// so does whoever launches.
#pragma once
#include <stdint.h>

namespace on_cpu {

struct Extent {
    unsigned x, y, z;
};

struct Kernel {
    const char* name;
    const char* types;           // of its parameters, as the compiler writes them
    const char* kinds;           // for each a letter: c and m point to constant and mutable, v is a value
    const unsigned long* sizes;  // for each its bytes
    void (*enter)(void** values);
};

// A compiled source, as the glue below it describes it: `library` returns this.
struct Library {
    const Kernel* kernels;  // the last is without a name
    unsigned char *shared_begin, *shared_end;
    int checked;  // whether it is compiled so that accesses can be looked at
    int waits;    // whether its threads wait for each other; if not, and unchecked, each runs at once
};

struct Memory {  // an allocation
    uintptr_t begin, end;
    unsigned char* written;  // for each byte, whether anybody has
};

struct Span {  // the part of an allocation that a kernel may touch
    uintptr_t begin, end;
    int memory, writable, argument;
};

struct Launch {
    const Library* library;
    const Kernel* kernel;
    Extent grid, block;
    void** values;
    const Memory* memories;
    const Span* spans;
    int n_memories, n_spans;
    int schedule;
    int flush;    // whether denormal floats become zero, as where CuPy compiles
    int checked;  // whether accesses are looked at
};

}  // namespace on_cpu

// Returns what the kernel did wrong, or an empty text. One launch at a time.
extern "C" const char* run_launch(const on_cpu::Launch* launch);
