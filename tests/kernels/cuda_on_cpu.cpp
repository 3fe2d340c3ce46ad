// A machine that runs a CUDA kernel on the CPU, and stops it at its first mistake.
//
// Each thread of a block is a fibre; they run one at a time, each until it waits for others or
// returns. Blocks run one after another. Nothing is left to chance: the order is the schedule that
// the launch asks for. What is checked, all of it before the access or the wait in question:
//
// - every access lies inside an argument's array, in shared memory, or on the thread's own stack;
// - nothing const is written, and nothing is read that nobody has written;
// - no two threads touch a byte, one of them writing, without a barrier in between: whether the
//   schedule at hand brings the mistake to light or not;
// - at a barrier meet all threads of the block, at a shuffle all that its mask names, and on the
//   same line of the source;
// - pointers are aligned, shifts and array indices in range, signed sums without overflow.
#include "cuda_on_cpu.h"

#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <memory>
#include <numeric>
#include <vector>
#ifdef __SSE__
#include <xmmintrin.h>
#endif

on_cpu::Builtins on_cpu::builtins;

namespace {

using on_cpu::builtins;
using on_cpu::Extent;
using on_cpu::Launch;
using on_cpu::Span;

// ------------------------------------------------------------------------- threads

constexpr size_t STACK = 128 * 1024;

enum State { READY, AT_BARRIER, AT_WARP, DONE };

struct Fibre {
    ucontext_t beginning;
    jmp_buf here;
    bool begun = false;
    char* stack = nullptr;
    State state = READY;
    int line = 0;            // where it waits
    unsigned mask = 0;       // for whom
    bool shuffles = false;   // and what for
    int asked = 0;
    unsigned long long bits = 0, answer = 0;
};

const Launch* launch;
std::vector<Fibre> fibres;
std::vector<char*> stacks;
jmp_buf scheduler;
Fibre* current;
unsigned threads, block, barriers;
std::vector<unsigned> warp_barriers;
char error[512];

unsigned number(const Fibre* fibre) { return unsigned(fibre - fibres.data()); }

Extent coordinates(unsigned i, Extent size) {
    return {i % size.x, i / size.x % size.y, i / size.x / size.y};
}

// Fibres are changed by jumps: swapcontext would ask the operating system each time.
void yield() {
    if (!_setjmp(current->here)) _longjmp(scheduler, 1);
}

template <typename... Values>
void fail(const char* format, Values... values) {
    if (error[0]) return;
    const Extent t = builtins.thread_index, b = builtins.block_index;
    const int n = current ? snprintf(error, sizeof error, "thread (%u, %u, %u) of ", t.x, t.y, t.z) : 0;
    const int m = snprintf(error + n, sizeof error - n, "block (%u, %u, %u) ", b.x, b.y, b.z);
    snprintf(error + n + m, sizeof error - n - m, format, values...);
    if (current) yield();  // for good
}

void flush_denormals(bool flush) {
#ifdef __SSE__
    constexpr unsigned both = 0x8040;  // of results and of operands
    _mm_setcsr(flush ? _mm_getcsr() | both : _mm_getcsr() & ~both);
#endif
}

void live() {
    for (;;) {
        launch->kernel->enter(launch->values);
        current->state = DONE;
        yield();
    }
}

void prepare() {
    if (fibres.size() == threads) return;
    fibres = std::vector<Fibre>(threads);
    while (stacks.size() < threads) stacks.push_back((char*)malloc(STACK));
    for (unsigned i = 0; i < threads; ++i) {
        ucontext_t& beginning = fibres[i].beginning;
        getcontext(&beginning);
        beginning.uc_stack.ss_sp = fibres[i].stack = stacks[i];
        beginning.uc_stack.ss_size = STACK;
        makecontext(&beginning, live, 0);
    }
}

void run(Fibre& fibre) {
    current = &fibre;
    builtins.thread_index = coordinates(number(&fibre), launch->block);
    if (!_setjmp(scheduler)) {
        if (fibre.begun) _longjmp(fibre.here, 1);
        fibre.begun = true;
        setcontext(&fibre.beginning);
    }
    current = nullptr;
}

// The k-th of n things in this launch's schedule: forwards, backwards, or in great strides.
unsigned scheduled(unsigned k, unsigned n) {
    if (launch->schedule == 1) return n - 1 - k;
    constexpr unsigned stride = 7919, shift = 13;
    if (launch->schedule == 2 && std::gcd(stride, n) == 1)
        return unsigned((uint64_t(k) * stride + shift) % n);
    return k;
}

// ------------------------------------------------------------------------- accesses to memory

struct Mark {  // who has touched a byte, and when; all zeros for nobody
    unsigned block, barriers;
    unsigned thread : 11;  // its number in the block, from 1 on
    unsigned atomic : 1;
    unsigned warp_barriers : 20;

    bool operator==(const Mark& other) const { return !memcmp(this, &other, sizeof other); }
};

struct Byte {
    // by whom; of those who read at the same time, one, another of its warp, and one of another
    Mark written, read, read_near, read_afar;

    bool operator==(const Byte& other) const { return !memcmp(this, &other, sizeof other); }
};

struct Free {
    void operator()(void* memory) const { free(memory); }
};
using Bytes = std::unique_ptr<Byte[], Free>;

Bytes untouched(size_t size) { return Bytes((Byte*)calloc(size + 1, sizeof(Byte))); }

std::vector<Bytes> touched;  // of each memory; the last is shared memory
std::vector<unsigned char> shared_written;

Mark own_mark(bool atomic) {
    const unsigned i = number(current);
    return {block, barriers, i + 1, atomic, warp_barriers[i / 32]};
}

bool same_warp(const Mark& a, const Mark& b) {
    return a.block == b.block && (a.thread - 1) / 32 == (b.thread - 1) / 32;
}

// Whether what a mark tells of is certain to happen before what the other one tells of.
bool comes_before(const Mark& past, const Mark& now) {
    if (past.thread == 0) return true;
    if (past.block != now.block) return false;
    if (past.thread == now.thread || past.barriers < now.barriers) return true;
    return same_warp(past, now) && past.warp_barriers < now.warp_barriers;
}

void check_race(Byte& byte, const Mark& now, bool write) {
    const auto clash = [&](const Mark& past, const char* what) {
        if (comes_before(past, now) || (past.atomic && now.atomic)) return;
        const Extent t = coordinates(past.thread - 1, launch->block);
        const Extent b = coordinates(past.block, launch->grid);
        fail("%s what thread (%u, %u, %u) of block (%u, %u, %u) %s, with no barrier in between",
             write ? "writes" : "reads", t.x, t.y, t.z, b.x, b.y, b.z, what);
    };
    clash(byte.written, "writes");
    if (write) {
        clash(byte.read, "reads");
        clash(byte.read_near, "reads");
        clash(byte.read_afar, "reads");
        byte.written = now;
    } else if (comes_before(byte.read, now)) {
        byte.read = now;
    } else {
        (same_warp(byte.read, now) ? byte.read_near : byte.read_afar) = now;
    }
}

void touch(uintptr_t at, size_t size, bool write, bool atomic) {
    if (!current || !launch->checked) return;
    const auto within = [=](const void* begin, size_t length) {
        return at >= uintptr_t(begin) && at + size <= uintptr_t(begin) + length;
    };
    if (within(current->stack, STACK) || (!write && within(&builtins, sizeof builtins))) return;

    Byte* bytes;
    unsigned char* written;
    if (within(launch->library->shared_begin, shared_written.size())) {
        const size_t offset = at - uintptr_t(launch->library->shared_begin);
        bytes = touched.back().get() + offset;
        written = shared_written.data() + offset;
    } else {
        const Span *found = nullptr, *near = nullptr;
        uintptr_t least = ~uintptr_t(0);
        for (int i = 0; i < launch->n_spans && !found; ++i) {
            const Span& span = launch->spans[i];
            const uintptr_t away = at < span.begin       ? span.begin - at
                                   : at + size > span.end ? at + size - span.end
                                                          : 0;
            if (away == 0 && (span.writable || !write)) found = &span;
            if (away < least) near = &span, least = away;
        }
        if (!found) {
            const char* verb = write ? "writes" : "reads";
            if (!near)
                fail("%s %zu bytes, and no argument is an array", verb, size);
            else if (least == 0)
                fail("writes to argument %d, which is const", near->argument);
            else
                fail("%s %zu bytes at byte %lld of argument %d, which has %llu", verb, size,
                     (long long)(at - near->begin), near->argument,
                     (unsigned long long)(near->end - near->begin));
        }
        const size_t offset = at - launch->memories[found->memory].begin;
        bytes = touched[found->memory].get() + offset;
        written = launch->memories[found->memory].written + offset;
    }
    const Mark now = own_mark(atomic);
    const Byte first = *bytes;
    for (size_t i = 0; i < size; ++i) {
        if (!written[i] && (!write || atomic)) fail("reads what nobody has written");
        if (write) written[i] = 1;
        if (i > 0 && bytes[i] == first)
            bytes[i] = bytes[0];  // as it went with the first
        else
            check_race(bytes[i], now, write);
    }
}

// ------------------------------------------------------------------------- waiting

void wait(State state, int line, unsigned mask, bool shuffles) {
    current->state = state;
    current->line = line;
    current->mask = mask;
    current->shuffles = shuffles;
    if (state == AT_WARP && !(mask >> on_cpu::lane() & 1))
        fail("waits at line %d, but is not in its own mask %08x", line, mask);
    yield();
}

// Release the lanes that wait together with this one, if all of its mask are there.
bool release_warp(Fibre& first) {
    Fibre* const warp = &first - number(&first) % 32;
    for (int i = 0; i < 32; ++i) {
        if (!(first.mask >> i & 1)) continue;
        if (number(warp) + i >= threads) return false;
        const Fibre& other = warp[i];
        if (other.state != AT_WARP || other.line != first.line || other.mask != first.mask)
            return false;
    }
    for (int i = 0; i < 32; ++i) {
        if (!(first.mask >> i & 1)) continue;
        if (warp[i].shuffles && !(first.mask >> warp[i].asked & 1)) {
            fail("at line %d lane %d asks lane %d, which is not in the mask %08x", first.line, i,
                 warp[i].asked, first.mask);
            return false;
        }
        warp[i].answer = warp[warp[i].asked].bits;
    }
    if (!first.shuffles && first.mask == 0xffffffff) ++warp_barriers[number(warp) / 32];
    const unsigned mask = first.mask;
    for (int i = 0; i < 32; ++i)
        if (mask >> i & 1) warp[i].state = READY;
    return true;
}

// Unchecked, threads that have returned are not waited for, and lines are not compared: so GPUs do.
bool release_block() {
    const bool strict = launch->checked;
    const int line = fibres[0].line;
    for (const Fibre& fibre : fibres)
        if (fibre.state == DONE ? strict : fibre.state != AT_BARRIER || (strict && fibre.line != line))
            return false;
    for (Fibre& fibre : fibres)
        if (fibre.state == AT_BARRIER) fibre.state = READY;
    ++barriers;
    return true;
}

// All wait, and not for each other.
void report_stuck() {
    const auto tell = [](const Fibre& fibre, char* to, size_t size) {
        const Extent t = coordinates(number(&fibre), launch->block);
        const char* where = fibre.state == AT_BARRIER ? "waits at the barrier" : "waits at the shuffle";
        if (fibre.state == DONE)
            snprintf(to, size, "thread (%u, %u, %u) has returned", t.x, t.y, t.z);
        else
            snprintf(to, size, "thread (%u, %u, %u) %s of line %d", t.x, t.y, t.z, where, fibre.line);
    };
    const Fibre* one = &fibres[0];
    for (const Fibre& fibre : fibres)
        if (fibre.state != DONE) one = &fibre;
    const Fibre* other = one;
    for (const Fibre& fibre : fibres)
        if (fibre.state != one->state || fibre.line != one->line) other = &fibre;
    char a[128], b[128] = "nobody else is there";
    tell(*one, a, sizeof a);
    if (other != one) tell(*other, b, sizeof b);
    fail("is stuck: %s, and %s", a, b);
}

// Threads that do not wait, and are not looked at, need no fibre.
void run_block_at_once() {
    for (unsigned k = 0; k < threads; ++k) {
        builtins.thread_index = coordinates(scheduled(k, threads), launch->block);
        launch->kernel->enter(launch->values);
    }
}

void run_block() {
    barriers = 0;
    warp_barriers.assign((threads + 31) / 32, 0);
    if (launch->checked) {
        touched.back() = untouched(shared_written.size());
        shared_written.assign(shared_written.size(), 0);
        memset(launch->library->shared_begin, 0xff, shared_written.size());
    }
    for (Fibre& fibre : fibres) fibre.state = READY;
    for (;;) {
        bool all_done = true, released = false;
        for (unsigned k = 0; k < threads; ++k) {
            Fibre& fibre = fibres[scheduled(k, threads)];
            if (fibre.state == READY) run(fibre);
            if (error[0]) return;
            all_done = all_done && fibre.state == DONE;
        }
        if (all_done) return;
        for (Fibre& fibre : fibres)
            if (fibre.state == AT_WARP) released = release_warp(fibre) || released;
        if (error[0]) return;
        if (!released && !release_block()) return report_stuck();
    }
}

}  // namespace

// ------------------------------------------------------------------------- called by kernels

int on_cpu::lane() { return int(number(current) % 32); }

void on_cpu::meet_block(int line) { wait(AT_BARRIER, line, 0, false); }

void on_cpu::meet_warp(unsigned mask, int line) {
    current->asked = lane();
    wait(AT_WARP, line, mask, false);
}

unsigned long long on_cpu::exchange(unsigned long long bits, int asked, unsigned mask, int line) {
    current->bits = bits;
    current->asked = asked;
    wait(AT_WARP, line, mask, true);
    return current->answer;
}

void on_cpu::touch_atomically(const void* at, unsigned long size) {
    touch(uintptr_t(at), size, true, true);
}

// ------------------------------------------------------------------------- called by Python

extern "C" const char* run_launch(const Launch* given) {
    launch = given;
    error[0] = 0;
    threads = launch->block.x * launch->block.y * launch->block.z;
    builtins.block_size = launch->block;
    builtins.grid_size = launch->grid;
    touched.clear();
    if (launch->checked) {
        for (int i = 0; i < launch->n_memories; ++i)
            touched.push_back(untouched(launch->memories[i].end - launch->memories[i].begin));
        touched.emplace_back();
        shared_written.resize(launch->library->shared_end - launch->library->shared_begin);
    }
    const bool at_once = !launch->checked && !launch->library->waits;
    flush_denormals(launch->flush);
    if (!at_once) prepare();
    const unsigned blocks = launch->grid.x * launch->grid.y * launch->grid.z;
    for (unsigned k = 0; k < blocks && !error[0]; ++k) {
        block = scheduled(k, blocks);
        builtins.block_index = coordinates(block, launch->grid);
        at_once ? run_block_at_once() : run_block();
    }
    flush_denormals(false);
    if (error[0]) fibres.clear();  // some are in the middle of it
    touched.clear();
    return error;
}

// ------------------------------------------------------------------------- called by compiled code

#define ACCESS(size)                                                                              \
    void __tsan_read##size(void* at) { touch(uintptr_t(at), size, false, false); }       \
    void __tsan_write##size(void* at) { touch(uintptr_t(at), size, true, false); }       \
    void __tsan_unaligned_read##size(void* at) { touch(uintptr_t(at), size, false, false); } \
    void __tsan_unaligned_write##size(void* at) { touch(uintptr_t(at), size, true, false); }

// The compiler's reports begin with the place in the source.
struct Place {
    const char* file;
    unsigned line, column;
};
#define UNDEFINED(name, words)                                                                    \
    void __ubsan_handle_##name(const Place* place, uintptr_t, uintptr_t) {               \
        fail("has " words " at line %u", place->line);                                            \
    }

extern "C" {
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_read_range(void* at, size_t size) { touch(uintptr_t(at), size, false, false); }
void __tsan_write_range(void* at, size_t size) { touch(uintptr_t(at), size, true, false); }
ACCESS(1)
ACCESS(2)
ACCESS(4)
ACCESS(8)
ACCESS(16)
UNDEFINED(type_mismatch_v1, "a pointer that is null or not aligned")
UNDEFINED(shift_out_of_bounds, "a shift out of range")
UNDEFINED(out_of_bounds, "an array index out of range")
UNDEFINED(add_overflow, "a signed sum that overflows")
UNDEFINED(sub_overflow, "a signed difference that overflows")
UNDEFINED(mul_overflow, "a signed product that overflows")
UNDEFINED(negate_overflow, "a negation that overflows")
UNDEFINED(divrem_overflow, "a division by zero")
UNDEFINED(float_cast_overflow, "a float that its integer cannot hold")
}
