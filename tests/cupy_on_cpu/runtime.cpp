// CUDA's runtime and driver on the CPU, as far as CuPy asks for them.
//
// Device memory is host memory that starts as NaN, and is known by its address: kernels and copies
// may touch what is of their device, and nothing else. A stream is a queue: what is put there happens
// when somebody waits for it, so who forgets to wait sees that nothing has happened yet.
#include "device.h"

#include <cuda.h>
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <deque>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "cuda_on_cpu_machine.h"

#define LOCKED std::lock_guard<std::recursive_mutex> lock(gpu::mutex())
#define TRY(call) \
    if (const cudaError_t code = (call)) return code

namespace {

// ------------------------------------------------------------------------- errors

std::string message;  // what the last error was about
cudaError_t last = cudaSuccess;
cudaError_t overdue = cudaSuccess;  // an error that nobody could be told of

std::string text(const char* format, ...) {
    char written[1024];
    va_list values;
    va_start(values, format);
    vsnprintf(written, sizeof written, format, values);
    va_end(values);
    return written;
}

// Returns the code, if something is wrong, and keeps in mind what.
cudaError_t failed(cudaError_t code, const std::string& wrong) {
    if (wrong.empty()) return cudaSuccess;
    message = wrong;
    return last = code;
}

cudaError_t take_overdue() { return std::exchange(overdue, cudaSuccess); }

// ------------------------------------------------------------------------- memory

constexpr size_t TOTAL = size_t(8) << 30;  // bytes of a device's memory
thread_local int current_device;
size_t used[64];

struct Allocation {
    size_t size;
    bool on_device;  // or on the host, pinned
    int device;
    unsigned char* written;  // for each byte, whether anybody has
};
std::map<uintptr_t, Allocation> allocations;

auto find(const void* at) {
    auto it = allocations.upper_bound(uintptr_t(at));
    if (it == allocations.begin()) return allocations.end();
    --it;
    return uintptr_t(at) < it->first + it->second.size ? it : allocations.end();
}

void mark(const void* at, size_t size) {
    const auto it = find(at);
    if (it != allocations.end()) memset(it->second.written + (uintptr_t(at) - it->first), 1, size);
}

// What is wrong with a range of memory as a device's, or as the host's, for a copy; or nothing.
std::string trouble_at(const void* at, size_t size, bool on_device) {
    const auto it = find(at);
    if (it == allocations.end()) return on_device ? text("%p is no address of a device", at) : "";
    if (it->second.on_device != on_device) return text("%p is %s memory", at, on_device ? "the host's" : "a device's");
    const bool fits = uintptr_t(at) + size <= it->first + it->second.size;
    return fits ? "" : text("%zu bytes at %p go beyond its allocation", size, at);
}

// What is wrong with an address as one that a device works on, or nothing.
std::string trouble_at(const void* at, int device) {
    const auto it = find(at);
    if (at && it == allocations.end()) return text("%p is no memory of a device", at);
    if (!at || !it->second.on_device || it->second.device == device) return "";
    return text("memory of device %d, to which device %d has no access", it->second.device, device);
}

// ------------------------------------------------------------------------- streams

using Graph = std::vector<gpu::Work>;  // what was captured, in its order

struct Stream {
    int device;
    bool blocking;  // it and the default stream wait for each other
    long given = 0, done = 0;
    std::deque<gpu::Work> queue = {};
    std::unique_ptr<Graph> captured = nullptr;  // while it is capturing
    int mode = 0;                               // of the capture
    bool invalid = false;                       // what no capture allows was asked for
};
std::vector<std::unique_ptr<Stream>> streams;  // for good: events refer to them

Stream* stream_of(cudaStream_t handle) {  // null for the default stream, by any of its three names
    return uintptr_t(handle) <= 2 ? nullptr : (Stream*)handle;
}

// Nobody waits for what only a replay will do.
cudaError_t uncaptured(Stream* stream, const char* what) {
    if (!stream || !stream->captured) return cudaSuccess;
    stream->invalid = true;
    return failed(cudaErrorStreamCaptureUnsupported, text("%s is not permitted when stream is capturing", what));
}

cudaError_t do_first(Stream& stream) {
    const gpu::Work work = std::move(stream.queue.front());
    stream.queue.pop_front();
    ++stream.done;
    return failed(cudaErrorLaunchFailure, work());
}

cudaError_t finish(Stream& stream, long until) {
    while (stream.done < until) TRY(do_first(stream));
    return cudaSuccess;
}

cudaError_t finish_all(int device, bool blocking_only) {
    for (auto& stream : streams)
        if (stream->device == device && (stream->blocking || !blocking_only)) {
            TRY(uncaptured(stream.get(), "to wait for all streams"));
            TRY(finish(*stream, stream->given));
        }
    return take_overdue();
}

cudaError_t finish(cudaStream_t handle) {
    Stream* const stream = stream_of(handle);
    if (!stream) return finish_all(current_device, true);
    TRY(uncaptured(stream, "to wait for it"));
    TRY(finish(*stream, stream->given));
    return take_overdue();
}

struct Event {
    Stream* stream = nullptr;
    long at = 0;
};

// ------------------------------------------------------------------------- allocations and copies

bool idle() {  // launches do nothing, so that only the host's time is left
    static const bool idle = getenv("CUPY_ON_CPU_IDLE") != nullptr;
    return idle;
}

cudaError_t allocate(void** at, size_t size, bool on_device) {
    *at = nullptr;
    if (size == 0) return cudaSuccess;
    for (auto& stream : streams)
        if (stream->mode != cudaStreamCaptureModeRelaxed) TRY(uncaptured(stream.get(), "to allocate memory"));
    const bool room = !on_device || used[current_device] + size <= TOTAL;
    if (!room || posix_memalign(at, 512, size)) return failed(cudaErrorMemoryAllocation, text("no room for %zu bytes", size));
    memset(*at, 0xff, size);
    allocations[uintptr_t(*at)] = {size, on_device, current_device, (unsigned char*)calloc(size, 1)};
    if (on_device) used[current_device] += size;
    return cudaSuccess;
}

cudaError_t copied(void* to, const void* from, size_t size, cudaMemcpyKind kind, cudaStream_t stream) {
    if (size == 0) return cudaSuccess;
    const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    if (kind != cudaMemcpyDefault)
        for (const std::string& wrong : {trouble_at(to, size, to_device), trouble_at(from, size, from_device)})
            if (!wrong.empty()) return failed(cudaErrorInvalidValue, text("copy of kind %d: %s", kind, wrong.c_str()));
    if (idle() && from_device) return cudaSuccess;
    if (!(to_device && from_device)) TRY(uncaptured(stream_of(stream), "a copy between host and device"));
    // from the host's memory, unless it is pinned, a copy is made before the call returns
    std::shared_ptr<std::vector<char>> held;
    if (!from_device && find(from) == allocations.end())
        held = std::make_shared<std::vector<char>>((const char*)from, (const char*)from + size);
    return gpu::enqueue(stream, "copy", [=] {
        memmove(to, held ? held->data() : from, size);
        mark(to, size);
        return std::string();
    });
}

// ------------------------------------------------------------------------- kernels

struct Module {  // a compiled source, loaded for one device
    int device;
    const on_cpu::Library* library;
};

struct Function {
    const Module* module;
    const on_cpu::Kernel* kernel;
};

using Arguments = std::vector<std::vector<char>>;  // the bytes of each

long launches;
long looks = 1000;  // at how many more launches, of kernels compiled for it, to look

CUresult refused(CUresult code, const std::string& why) {
    message = why;
    return code;
}

// Checked, a kernel may touch what its pointers point to, up to the end of that allocation; if a
// struct is among its arguments, all that the struct's words point to.
std::string run(const Function& function, on_cpu::Extent grid, on_cpu::Extent block, Arguments given) {
    const on_cpu::Kernel& kernel = *function.kernel;
    const on_cpu::Library& library = *function.module->library;
    std::vector<void*> values;
    std::vector<on_cpu::Memory> memories;
    std::vector<on_cpu::Span> spans;
    std::map<uintptr_t, int> number;  // of a memory, by where it begins
    for (size_t i = 0; i < given.size(); ++i) {
        values.push_back(given[i].data());
        for (size_t at = 0; at + sizeof(void*) <= given[i].size(); at += sizeof(void*)) {
            void* pointer;
            memcpy(&pointer, given[i].data() + at, sizeof pointer);
            const auto it = find(pointer);
            if (it == allocations.end() && kernel.kinds[i] == 'v') continue;  // a number
            if (const std::string wrong = trouble_at(pointer, function.module->device); !wrong.empty())
                return text("argument %zu of %s: %s", i, kernel.name, wrong.c_str());
            if (it == allocations.end()) continue;
            const uintptr_t begin = it->first, end = begin + it->second.size;
            const auto [place, fresh] = number.emplace(begin, int(memories.size()));
            if (fresh) memories.push_back({begin, end, it->second.written});
            spans.push_back({uintptr_t(pointer), end, place->second, kernel.kinds[i] != 'c', int(i)});
        }
    }
    const bool checked = library.checked && looks > 0;
    looks -= checked;
    const on_cpu::Launch launch = {&library, &kernel, grid, block, values.data(), memories.data(), spans.data(),
                                   int(memories.size()), int(spans.size()), int(launches % 3), 1, checked};
    const char* const wrong = run_launch(&launch);
    if (*wrong) return text("%s: %s", kernel.name, wrong);
    if (!checked)
        for (const on_cpu::Memory& memory : memories) memset(memory.written, 1, memory.end - memory.begin);
    return "";
}

}  // namespace

std::recursive_mutex& gpu::mutex() {
    static std::recursive_mutex mutex;
    return mutex;
}

cudaError_t gpu::enqueue(cudaStream_t handle, const char* what, Work work) {
    TRY(take_overdue());
    Stream* const stream = stream_of(handle);
    if (!stream) {
        TRY(finish_all(current_device, true));
        return failed(cudaErrorLaunchFailure, work());
    }
    if (stream->device != current_device)
        return failed(cudaErrorInvalidResourceHandle, text("%s: the stream is of device %d, and device %d is current",
                                                           what, stream->device, current_device));
    if (stream->captured) {
        stream->captured->push_back(std::move(work));
    } else {
        stream->queue.push_back(std::move(work));
        ++stream->given;
    }
    return cudaSuccess;
}

cudaError_t gpu::compute(cudaStream_t stream, const char* what, std::initializer_list<const void*> from,
                         const void* to, std::function<void()> work) {
    LOCKED;
    const auto check = [=, addresses = std::vector<const void*>(from), device = current_device]() -> std::string {
        for (const void* const at : addresses)
            if (const std::string wrong = trouble_at(at, device); !wrong.empty()) return text("%s: %s", what, wrong.c_str());
        return "";
    };
    TRY(failed(cudaErrorInvalidValue, check()));
    if (idle()) return cudaSuccess;
    return enqueue(stream, what, [=]() -> std::string {
        if (const std::string gone = check(); !gone.empty()) return gone;
        work();
        mark_written(to);
        return "";
    });
}

void gpu::mark_written(const void* at) {
    const auto it = find(at);
    if (it != allocations.end()) memset(it->second.written, 1, it->second.size);
}

cudaError_t gpu::not_emulated(const char* name) {
    LOCKED;
    fprintf(stderr, "tests/cupy_on_cpu: %s is not emulated\n", name);
    return failed(cudaErrorNotSupported, text("%s is not emulated by tests/cupy_on_cpu", name));
}

void gpu::fail_later(cudaError_t code) {
    if (code) overdue = code;
}

extern "C" {

// ------------------------------------------------------------------------- the runtime: memory

cudaError_t cudaMalloc(void** at, size_t size) { LOCKED; return allocate(at, size, true); }
cudaError_t cudaHostAlloc(void** at, size_t size, unsigned) { LOCKED; return allocate(at, size, false); }

cudaError_t cudaFree(void* at) {
    LOCKED;
    if (!at) return cudaSuccess;
    const auto it = allocations.find(uintptr_t(at));
    if (it == allocations.end()) return failed(cudaErrorInvalidValue, text("free: %p was not allocated", at));
    const cudaError_t code = finish_all(it->second.device, false);  // CUDA waits here, too
    if (it->second.on_device) used[it->second.device] -= it->second.size;
    free(it->second.written);
    allocations.erase(it);
    free(at);
    return code;
}

cudaError_t cudaFreeHost(void* at) { return cudaFree(at); }

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
    LOCKED;
    *total = TOTAL, *free = TOTAL - used[current_device];
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t size, cudaMemcpyKind kind, cudaStream_t stream) {
    LOCKED;
    return copied(to, from, size, kind, stream);
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t size, cudaMemcpyKind kind) {
    return cudaMemcpyAsync(to, from, size, kind, nullptr);
}

cudaError_t cudaMemsetAsync(void* at, int value, size_t size, cudaStream_t stream) {
    LOCKED;
    if (size) TRY(failed(cudaErrorInvalidValue, trouble_at(at, size, true)));
    return gpu::enqueue(stream, "memset", [=] {
        memset(at, value, size);
        mark(at, size);
        return std::string();
    });
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* found, const void* at) {
    LOCKED;
    *found = {};
    const auto it = find(at);
    const bool known = it != allocations.end(), on_device = known && it->second.on_device;
    found->type = on_device ? cudaMemoryTypeDevice : known ? cudaMemoryTypeHost : cudaMemoryTypeUnregistered;
    found->device = known ? it->second.device : -2;
    found->devicePointer = known ? (void*)at : nullptr;
    found->hostPointer = on_device ? nullptr : (void*)at;
    return cudaSuccess;
}

// ------------------------------------------------------------------------- the runtime: devices

cudaError_t cudaGetDeviceCount(int* count) {
    static const char* const given = getenv("CUPY_ON_CPU_DEVICES");
    *count = given ? atoi(given) : 2;
    return cudaSuccess;
}

cudaError_t cudaGetDevice(int* device) { *device = current_device; return cudaSuccess; }

cudaError_t cudaSetDevice(int device) {
    LOCKED;
    int count;
    cudaGetDeviceCount(&count);
    if (device < 0 || device >= count) return failed(cudaErrorInvalidDevice, text("there is no device %d", device));
    current_device = device;
    return cudaSuccess;
}

cudaError_t cudaDeviceCanAccessPeer(int* can, int, int) { *can = 0; return cudaSuccess; }
cudaError_t cudaDriverGetVersion(int* version) { *version = 13000; return cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* version) { *version = 13020; return cudaSuccess; }

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr which, int) {  // but for this one CuPy asks in vain
    *value = which == cudaDevAttrComputeCapabilityMajor ? 9 : 0;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* found, int device) {
    *found = {};
    snprintf(found->name, sizeof found->name, "GPU %d, emulated on the CPU", device);
    found->totalGlobalMem = TOTAL;
    found->major = 9, found->warpSize = 32, found->multiProcessorCount = 132;
    found->maxThreadsPerBlock = 1024, found->maxThreadsPerMultiProcessor = 2048;
    found->sharedMemPerBlock = 48 << 10;
    return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() { LOCKED; return finish_all(current_device, false); }
cudaError_t cudaGetLastError() { LOCKED; return std::exchange(last, cudaSuccess); }

const char* cudaGetErrorName(cudaError_t code) {
#define NAMED(code) {code, #code}
    static const std::map<int, const char*> names = {
        NAMED(cudaErrorInvalidValue), NAMED(cudaErrorMemoryAllocation), NAMED(cudaErrorInvalidDevice),
        NAMED(cudaErrorInvalidResourceHandle), NAMED(cudaErrorLaunchFailure), NAMED(cudaErrorNotSupported)};
    return names.count(code) ? names.at(code) : "cudaError";
}

const char* cudaGetErrorString(cudaError_t) { return message.c_str(); }

// ------------------------------------------------------------------------- the runtime: streams

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int) {
    LOCKED;
    streams.emplace_back(new Stream{current_device, !(flags & cudaStreamNonBlocking)});
    *stream = (cudaStream_t)streams.back().get();
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) { LOCKED; return finish(stream); }
cudaError_t cudaStreamSynchronize(cudaStream_t stream) { LOCKED; return finish(stream); }

// ------------------------------------------------------------------------- the runtime: graphs

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
    LOCKED;
    const Stream* const stream = stream_of(handle);
    *status = !stream || !stream->captured ? cudaStreamCaptureStatusNone
              : stream->invalid            ? cudaStreamCaptureStatusInvalidated
                                           : cudaStreamCaptureStatusActive;
    return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
    LOCKED;
    Stream* const stream = stream_of(handle);
    if (!stream) return failed(cudaErrorStreamCaptureUnsupported, "the default stream cannot be captured");
    if (stream->captured) return failed(cudaErrorIllegalState, "the stream is capturing already");
    stream->captured.reset(new Graph), stream->mode = mode, stream->invalid = false;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
    LOCKED;
    Stream* const stream = stream_of(handle);
    *graph = nullptr;
    if (!stream || !stream->captured) return failed(cudaErrorIllegalState, "the stream is not capturing");
    std::unique_ptr<Graph> captured = std::move(stream->captured);
    if (stream->invalid) return failed(cudaErrorStreamCaptureInvalidated, "the capture was invalidated");
    *graph = (cudaGraph_t)captured.release();
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* made, cudaGraph_t graph, unsigned long long) {
    *made = (cudaGraphExec_t) new Graph(*(Graph*)graph);
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) { delete (Graph*)graph; return cudaSuccess; }
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) { delete (Graph*)graph; return cudaSuccess; }

cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
    LOCKED;
    for (const gpu::Work& work : *(Graph*)graph) TRY(gpu::enqueue(stream, "graph", work));
    return cudaSuccess;
}

// ------------------------------------------------------------------------- the runtime: events

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t handle, unsigned) {
    LOCKED;
    TRY(uncaptured(stream_of(stream), "to wait for an event of another"));
    const Event& event = *(Event*)handle;
    return event.stream ? finish(*event.stream, event.at) : cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) { *event = (cudaEvent_t) new Event; return cudaSuccess; }
cudaError_t cudaEventDestroy(cudaEvent_t event) { delete (Event*)event; return cudaSuccess; }

cudaError_t cudaEventRecord(cudaEvent_t handle, cudaStream_t stream) {
    LOCKED;
    Event& event = *(Event*)handle;
    event.stream = stream_of(stream);
    event.at = event.stream ? event.stream->given : 0;
    return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t handle) {
    LOCKED;
    const Event& event = *(Event*)handle;
    if (!event.stream || event.stream->done >= event.at) return cudaSuccess;
    TRY(do_first(*event.stream));
    return cudaErrorNotReady;
}


// ------------------------------------------------------------------------- the driver, and what else is called

cudaError_t not_emulated(const char* name) { return gpu::not_emulated(name); }
void nothing_emulated(const char* name) { gpu::fail_later(gpu::not_emulated(name)); }
long* launch_count() { return &launches; }
void look_at(long count) { looks = count; }

CUresult cuGetErrorName(CUresult code, const char** name) {
    static std::string held;
    *name = (held = text("CUDA_ERROR_%d", code)).c_str();
    return CUDA_SUCCESS;
}

CUresult cuGetErrorString(CUresult, const char** text) { *text = message.c_str(); return CUDA_SUCCESS; }

CUresult cuModuleLoadData(CUmodule* module, const void* path) {  // of the library, instead of an image (compiler.py)
    LOCKED;
    void* const opened = dlopen((const char*)path, RTLD_NOW);
    if (!opened) return refused(CUDA_ERROR_INVALID_IMAGE, dlerror());
    const auto library = (const on_cpu::Library* (*)())dlsym(opened, "library");
    *module = (CUmodule) new Module{current_device, library()};
    return CUDA_SUCCESS;
}

CUresult cuModuleUnload(CUmodule) { return CUDA_SUCCESS; }  // kernels that wait their turn are in it

CUresult cuModuleGetFunction(CUfunction* function, CUmodule handle, const char* name) {
    const auto* const module = (const Module*)handle;
    for (const on_cpu::Kernel* kernel = module->library->kernels; kernel->name; ++kernel)
        if (!strcmp(kernel->name, name)) {
            *function = (CUfunction) new Function{module, kernel};
            return CUDA_SUCCESS;
        }
    return refused(CUDA_ERROR_NOT_FOUND, text("there is no kernel %s", name));
}

CUresult cuLaunchKernel(CUfunction handle, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                        unsigned bz, unsigned, CUstream stream, void** params, void**) {
    LOCKED;
    const Function& function = *(const Function*)handle;
    const on_cpu::Kernel& kernel = *function.kernel;
    if (!gx || !gy || !gz || gx > 0x7fffffff || gy > 65535 || gz > 65535 || !bx || !by || !bz || bz > 64 ||
        (unsigned long)bx * by * bz > 1024)
        return refused(CUDA_ERROR_INVALID_VALUE, text("%s: no GPU launches (%u, %u, %u) blocks of (%u, %u, %u) threads",
                                                      kernel.name, gx, gy, gz, bx, by, bz));
    if (function.module->device != current_device)
        return refused(CUDA_ERROR_INVALID_VALUE, text("%s was loaded on device %d, and device %d is current", kernel.name,
                                                      function.module->device, current_device));
    ++launches;
    if (idle()) return CUDA_SUCCESS;
    Arguments given;
    for (int i = 0; kernel.kinds[i]; ++i) given.emplace_back((char*)params[i], (char*)params[i] + kernel.sizes[i]);
    return (CUresult)gpu::enqueue(stream, kernel.name, [=] { return run(function, {gx, gy, gz}, {bx, by, bz}, given); });
}
}
