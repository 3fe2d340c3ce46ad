// CUDA's runtime and driver on the CPU, as far as CuPy asks for them.
//
// Device memory is host memory that starts as NaN, and is known by its address: kernels and copies
// may touch what is of their device, and nothing else. A stream is a queue: what is put there happens
// when somebody waits for it, so who forgets to wait sees that nothing has happened yet.
#include "device.h"

#include <cuda.h>
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "cuda_on_cpu_machine.h"

namespace {

// ------------------------------------------------------------------------- errors

using Lock = std::lock_guard<std::recursive_mutex>;
#define LOCKED Lock lock(gpu::mutex())

std::string message;  // what the last error was about
cudaError_t last = cudaSuccess;
cudaError_t overdue = cudaSuccess;  // an error that nobody could be told of

cudaError_t failed(cudaError_t code, const char* format, ...) {
    char text[1024];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    message = text;
    return last = code;
}

cudaError_t take_overdue() {
    const cudaError_t code = overdue;
    overdue = cudaSuccess;
    return code;
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

Stream* stream_of(cudaStream_t handle) {  // 0 for the default stream, by any of its three names
    return uintptr_t(handle) <= 2 ? nullptr : (Stream*)handle;
}

// Nobody waits for what only a replay will do.
cudaError_t uncaptured(Stream& stream, const char* what) {
    if (!stream.captured) return cudaSuccess;
    stream.invalid = true;
    return failed(cudaErrorStreamCaptureUnsupported, "%s is not permitted when stream is capturing", what);
}

// ------------------------------------------------------------------------- devices and memory

constexpr size_t TOTAL = size_t(8) << 30;  // bytes of a device's memory
thread_local int current_device;

int devices() {
    static const char* given = getenv("CUPY_ON_CPU_DEVICES");
    static const int count = given ? atoi(given) : 2;
    return count;
}

struct Allocation {
    size_t size;
    bool on_device;  // or on the host, pinned
    int device;
    unsigned char* written;  // for each byte, whether anybody has
};
using Allocations = std::map<uintptr_t, Allocation>;

Allocations allocations;
size_t used[64];

Allocations::iterator find(const void* at) {
    auto it = allocations.upper_bound(uintptr_t(at));
    if (it == allocations.begin()) return allocations.end();
    --it;
    return uintptr_t(at) < it->first + it->second.size ? it : allocations.end();
}

cudaError_t allocate(void** at, size_t size, bool on_device) {
    *at = nullptr;
    if (size == 0) return cudaSuccess;
    for (auto& stream : streams)
        if (stream->captured && stream->mode != cudaStreamCaptureModeRelaxed)
            if (const cudaError_t code = uncaptured(*stream, "to allocate memory")) return code;
    const bool room = !on_device || used[current_device] + size <= TOTAL;
    if (!room || posix_memalign(at, 512, size))
        return failed(cudaErrorMemoryAllocation, "no room for %zu bytes", size);
    memset(*at, 0xff, size);
    allocations[uintptr_t(*at)] = {size, on_device, current_device, (unsigned char*)calloc(size, 1)};
    if (on_device) used[current_device] += size;
    return cudaSuccess;
}

void mark(const void* at, size_t size) {
    const auto it = find(at);
    if (it != allocations.end()) memset(it->second.written + (uintptr_t(at) - it->first), 1, size);
}

// Returns what is wrong with a range of memory as a device's, or nothing.
std::string trouble_at(const void* at, size_t size, bool on_device) {
    const auto it = find(at);
    char text[200] = "";
    if (it == allocations.end())
        snprintf(text, sizeof text, on_device ? "%p is no address of a device" : "", at);
    else if (it->second.on_device != on_device)
        snprintf(text, sizeof text, "%p is %s memory", at, on_device ? "the host's" : "a device's");
    else if (uintptr_t(at) + size > it->first + it->second.size)
        snprintf(text, sizeof text, "%zu bytes at %p go beyond its allocation", size, at);
    return text;
}

// ------------------------------------------------------------------------- what streams do

cudaError_t do_first(Stream& stream) {
    const gpu::Work work = std::move(stream.queue.front());
    stream.queue.pop_front();
    ++stream.done;
    const std::string wrong = work();
    return wrong.empty() ? cudaSuccess : failed(cudaErrorLaunchFailure, "%s", wrong.c_str());
}

cudaError_t finish(Stream& stream, long until) {
    while (stream.done < until)
        if (const cudaError_t code = do_first(stream)) return code;
    return cudaSuccess;
}

cudaError_t finish_all(int device, bool blocking_only) {
    for (auto& stream : streams)
        if (stream->device == device && (stream->blocking || !blocking_only)) {
            if (const cudaError_t code = uncaptured(*stream, "to wait for all streams")) return code;
            if (const cudaError_t code = finish(*stream, stream->given)) return code;
        }
    return take_overdue();
}

cudaError_t finish(cudaStream_t handle) {
    Stream* const stream = stream_of(handle);
    if (!stream) return finish_all(current_device, true);
    if (const cudaError_t code = uncaptured(*stream, "to wait for it")) return code;
    if (const cudaError_t code = finish(*stream, stream->given)) return code;
    return take_overdue();
}

struct Event {
    Stream* stream = nullptr;
    long at = 0;
    timespec time = {};
};

}  // namespace

std::recursive_mutex& gpu::mutex() {
    static std::recursive_mutex mutex;
    return mutex;
}

cudaError_t gpu::enqueue(cudaStream_t handle, const char* what, Work work) {
    if (const cudaError_t code = take_overdue()) return code;
    if (Stream* const stream = stream_of(handle)) {
        if (stream->device != current_device)
            return failed(cudaErrorInvalidResourceHandle, "%s: the stream is of device %d, and device %d is current",
                          what, stream->device, current_device);
        if (stream->captured) {
            stream->captured->push_back(std::move(work));
            return cudaSuccess;
        }
        stream->queue.push_back(std::move(work));
        ++stream->given;
        return cudaSuccess;
    }
    if (const cudaError_t code = finish_all(current_device, true)) return code;
    const std::string wrong = work();
    return wrong.empty() ? cudaSuccess : failed(cudaErrorLaunchFailure, "%s", wrong.c_str());
}

int gpu::not_emulated(const char* name) {
    LOCKED;
    fprintf(stderr, "tests/cupy_on_cpu: %s is not emulated\n", name);
    return failed(cudaErrorNotSupported, "%s is not emulated by tests/cupy_on_cpu", name);
}

cudaError_t gpu::fail_later(cudaError_t code, const char* text) { return overdue = failed(code, "%s", text); }

std::string gpu::strangers(std::initializer_list<const void*> addresses) {
    for (const void* const at : addresses) {
        const auto it = find(at);
        char text[200] = "";
        if (at && it == allocations.end())
            snprintf(text, sizeof text, "%p is no memory of a device", at);
        else if (at && it->second.on_device && it->second.device != current_device)
            snprintf(text, sizeof text, "memory of device %d, to which device %d has no access",
                     it->second.device, current_device);
        if (text[0]) return text;
    }
    return "";
}

void gpu::mark_written(const void* at) {
    const auto it = find(at);
    if (it != allocations.end()) memset(it->second.written, 1, it->second.size);
}

bool gpu::idle() {
    static const bool idle = getenv("CUPY_ON_CPU_IDLE") != nullptr;
    return idle;
}

// ------------------------------------------------------------------------- the runtime: memory

namespace {

cudaError_t copied(void* to, const void* from, size_t size, cudaMemcpyKind kind, cudaStream_t stream) {
    if (size == 0) return cudaSuccess;
    const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    if (kind != cudaMemcpyDefault)
        for (const std::string& wrong : {trouble_at(to, size, to_device), trouble_at(from, size, from_device)})
            if (!wrong.empty()) return failed(cudaErrorInvalidValue, "copy of kind %d: %s", kind, wrong.c_str());
    if (gpu::idle() && from_device) return cudaSuccess;
    if (Stream* const given = stream_of(stream); given && !(to_device && from_device))
        if (const cudaError_t code = uncaptured(*given, "a copy between host and device")) return code;
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

cudaError_t released(void* at) {
    if (!at) return cudaSuccess;
    const auto it = allocations.find(uintptr_t(at));
    if (it == allocations.end()) return failed(cudaErrorInvalidValue, "free: %p was not allocated", at);
    const cudaError_t code = finish_all(it->second.device, false);  // CUDA waits here, too
    if (it->second.on_device) used[it->second.device] -= it->second.size;
    free(it->second.written);
    allocations.erase(it);
    free(at);
    return code;
}

}  // namespace

extern "C" {
cudaError_t cudaMalloc(void** at, size_t size) { LOCKED; return allocate(at, size, true); }
cudaError_t cudaHostAlloc(void** at, size_t size, unsigned) { LOCKED; return allocate(at, size, false); }
cudaError_t cudaFree(void* at) { LOCKED; return released(at); }
cudaError_t cudaFreeHost(void* at) { LOCKED; return released(at); }

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
    LOCKED;
    *total = TOTAL, *free = TOTAL - used[current_device];
    return cudaSuccess;
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t size, cudaMemcpyKind kind) {
    LOCKED;
    return copied(to, from, size, kind, nullptr);
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t size, cudaMemcpyKind kind, cudaStream_t stream) {
    LOCKED;
    return copied(to, from, size, kind, stream);
}

cudaError_t cudaMemcpyPeerAsync(void* to, int, const void* from, int source, size_t size, cudaStream_t stream) {
    LOCKED;
    if (const cudaError_t code = finish_all(source, true)) return code;
    return copied(to, from, size, cudaMemcpyDeviceToDevice, stream);
}

cudaError_t cudaMemcpyPeer(void* to, int target, const void* from, int source, size_t size) {
    return cudaMemcpyPeerAsync(to, target, from, source, size, nullptr);
}

cudaError_t cudaMemsetAsync(void* at, int value, size_t size, cudaStream_t stream) {
    LOCKED;
    const std::string wrong = size ? trouble_at(at, size, true) : "";
    if (!wrong.empty()) return failed(cudaErrorInvalidValue, "memset: %s", wrong.c_str());
    return gpu::enqueue(stream, "memset", [=] {
        memset(at, value, size);
        mark(at, size);
        return std::string();
    });
}

cudaError_t cudaMemset(void* at, int value, size_t size) { return cudaMemsetAsync(at, value, size, nullptr); }

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

cudaError_t cudaGetDeviceCount(int* count) { *count = devices(); return cudaSuccess; }
cudaError_t cudaGetDevice(int* device) { *device = current_device; return cudaSuccess; }

cudaError_t cudaSetDevice(int device) {
    LOCKED;
    if (device < 0 || device >= devices()) return failed(cudaErrorInvalidDevice, "there is no device %d", device);
    current_device = device;
    return cudaSuccess;
}

cudaError_t cudaDeviceCanAccessPeer(int* can, int, int) { *can = 0; return cudaSuccess; }
cudaError_t cudaDriverGetVersion(int* version) { *version = 13000; return cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* version) { *version = 13020; return cudaSuccess; }

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr which, int) {
    switch (which) {
        case cudaDevAttrComputeCapabilityMajor: *value = 9; break;
        case cudaDevAttrMaxThreadsPerBlock:
        case cudaDevAttrMaxBlockDimX:
        case cudaDevAttrMaxBlockDimY: *value = 1024; break;
        case cudaDevAttrMaxBlockDimZ: *value = 64; break;
        case cudaDevAttrMaxGridDimX: *value = 0x7fffffff; break;
        case cudaDevAttrMaxGridDimY:
        case cudaDevAttrMaxGridDimZ: *value = 65535; break;
        case cudaDevAttrMaxSharedMemoryPerBlock: *value = 48 * 1024; break;
        case cudaDevAttrWarpSize: *value = 32; break;
        case cudaDevAttrMultiProcessorCount: *value = 132; break;
        case cudaDevAttrMaxThreadsPerMultiProcessor: *value = 2048; break;
        default: *value = 0;
    }
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* found, int device) {
    *found = {};
    snprintf(found->name, sizeof found->name, "GPU %d, emulated on the CPU", device);
    found->totalGlobalMem = TOTAL;
    found->major = 9, found->warpSize = 32, found->multiProcessorCount = 132;
    found->maxThreadsPerBlock = 1024, found->maxThreadsPerMultiProcessor = 2048;
    found->sharedMemPerBlock = 48 * 1024;
    return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() { LOCKED; return finish_all(current_device, false); }
cudaError_t cudaGetLastError() { LOCKED; const cudaError_t code = last; last = cudaSuccess; return code; }
cudaError_t cudaPeekAtLastError() { LOCKED; return last; }

const char* cudaGetErrorName(cudaError_t code) {
    switch (code) {
        case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
        case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
        case cudaErrorInvalidDevice: return "cudaErrorInvalidDevice";
        case cudaErrorInvalidResourceHandle: return "cudaErrorInvalidResourceHandle";
        case cudaErrorNotReady: return "cudaErrorNotReady";
        case cudaErrorLaunchFailure: return "cudaErrorLaunchFailure";
        case cudaErrorNotSupported: return "cudaErrorNotSupported";
        default: return "cudaError";
    }
}

const char* cudaGetErrorString(cudaError_t) { return message.c_str(); }

// ------------------------------------------------------------------------- the runtime: streams

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
    LOCKED;
    streams.emplace_back(new Stream{current_device, !(flags & cudaStreamNonBlocking)});
    *stream = (cudaStream_t)streams.back().get();
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int) {
    return cudaStreamCreateWithFlags(stream, flags);
}

cudaError_t cudaStreamCreate(cudaStream_t* stream) { return cudaStreamCreateWithFlags(stream, 0); }
cudaError_t cudaStreamDestroy(cudaStream_t stream) { LOCKED; return finish(stream); }
cudaError_t cudaStreamSynchronize(cudaStream_t stream) { LOCKED; return finish(stream); }

cudaError_t cudaStreamQuery(cudaStream_t handle) {  // each question brings it on by a step
    LOCKED;
    Stream* const stream = stream_of(handle);
    if (stream && stream->captured) return uncaptured(*stream, "to ask whether it is done");
    if (!stream || stream->done == stream->given) return cudaSuccess;
    const cudaError_t code = do_first(*stream);
    return code ? code : cudaErrorNotReady;
}

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

cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) { return cudaSuccess; }
cudaError_t cudaGraphDestroy(cudaGraph_t graph) { delete (Graph*)graph; return cudaSuccess; }
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) { delete (Graph*)graph; return cudaSuccess; }

cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
    LOCKED;
    for (const gpu::Work& work : *(Graph*)graph)
        if (const cudaError_t code = gpu::enqueue(stream, "graph", work)) return code;
    return cudaSuccess;
}

// ------------------------------------------------------------------------- the runtime: events

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t handle, unsigned) {
    LOCKED;
    if (Stream* const waiting = stream_of(stream))
        if (const cudaError_t code = uncaptured(*waiting, "to wait for an event of another")) return code;
    const Event& event = *(Event*)handle;
    return event.stream ? finish(*event.stream, event.at) : cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
    *event = (cudaEvent_t) new Event;
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, 0); }
cudaError_t cudaEventDestroy(cudaEvent_t event) { delete (Event*)event; return cudaSuccess; }

cudaError_t cudaEventRecord(cudaEvent_t handle, cudaStream_t stream) {
    LOCKED;
    Event& event = *(Event*)handle;
    event.stream = stream_of(stream);
    event.at = event.stream ? event.stream->given : 0;
    clock_gettime(CLOCK_MONOTONIC, &event.time);
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) { return cudaStreamWaitEvent(nullptr, event, 0); }

cudaError_t cudaEventQuery(cudaEvent_t handle) {
    LOCKED;
    const Event& event = *(Event*)handle;
    if (!event.stream || event.stream->done >= event.at) return cudaSuccess;
    const cudaError_t code = do_first(*event.stream);
    return code ? code : cudaErrorNotReady;
}

cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t from, cudaEvent_t to) {
    const timespec &a = ((Event*)from)->time, &b = ((Event*)to)->time;
    *ms = float((b.tv_sec - a.tv_sec) * 1e3 + (b.tv_nsec - a.tv_nsec) * 1e-6);
    return cudaSuccess;
}
}  // extern "C"

// ------------------------------------------------------------------------- the driver: kernels

namespace {

struct Library {  // a compiled source, loaded for one device
    int device;
    const on_cpu::Kernel* kernels;
    unsigned char *shared_begin, *shared_end;
    int checked, waits;
};

struct Function {
    const Library* library;
    const on_cpu::Kernel* kernel;
};

long launches;
long looks = 1000;  // at how many more launches, of kernels compiled for it, to look

CUresult refused(CUresult code, const std::string& why) {
    message = why;
    return code;
}

struct Arguments {
    std::vector<std::vector<char>> bytes;
    std::vector<void*> values;
};

std::shared_ptr<Arguments> arguments_of(const on_cpu::Kernel& kernel, void** params) {
    auto held = std::make_shared<Arguments>();
    for (int i = 0; kernel.kinds[i]; ++i)
        held->bytes.emplace_back((char*)params[i], (char*)params[i] + kernel.sizes[i]);
    for (auto& bytes : held->bytes) held->values.push_back(bytes.data());
    return held;
}

// The allocations that the arguments point to, from structs too; or what is wrong with them.
std::string reach(const on_cpu::Kernel& kernel, const Arguments& given, int device,
                  std::vector<Allocations::iterator>& reached) {
    for (size_t i = 0; i < given.bytes.size(); ++i) {
        const bool points = kernel.kinds[i] != 'v';
        for (size_t at = 0; at + sizeof(void*) <= given.bytes[i].size(); at += sizeof(void*)) {
            void* pointer;
            memcpy(&pointer, given.bytes[i].data() + at, sizeof pointer);
            const auto it = pointer ? find(pointer) : allocations.end();
            char text[256] = "";
            if (points && pointer && it == allocations.end())
                snprintf(text, sizeof text, "argument %zu of %s points to %p, which is no memory of a device",
                         i, kernel.name, pointer);
            if (it != allocations.end() && it->second.on_device && it->second.device != device)
                snprintf(text, sizeof text, "argument %zu of %s points to memory of device %d, but runs on device %d, "
                         "which has no access to it", i, kernel.name, it->second.device, device);
            if (text[0]) return text;
            if (it != allocations.end()) reached.push_back(it);
        }
    }
    return "";
}

// Checked, a kernel may touch what its pointers point to, up to the end of that allocation; if a
// struct is among its arguments, all that the struct's words point to.
std::string run(const Function& function, on_cpu::Extent grid, on_cpu::Extent block,
                const std::shared_ptr<Arguments>& given) {
    const on_cpu::Kernel& kernel = *function.kernel;
    const Library& library = *function.library;
    std::vector<Allocations::iterator> reached;
    const std::string wrong = reach(kernel, *given, library.device, reached);
    if (!wrong.empty()) return wrong;
    const bool checked = library.checked && looks > 0;
    looks -= checked;
    std::vector<on_cpu::Memory> memories;
    std::vector<on_cpu::Span> spans;
    if (checked) {
        std::map<uintptr_t, int> number;
        for (const auto& it : reached)
            if (number.emplace(it->first, int(memories.size())).second)
                memories.push_back({it->first, it->first + it->second.size, it->second.written});
        for (size_t i = 0; i < given->bytes.size(); ++i)
            for (size_t at = 0; at + sizeof(void*) <= given->bytes[i].size(); at += sizeof(void*)) {
                uintptr_t pointer;
                memcpy(&pointer, given->bytes[i].data() + at, sizeof pointer);
                const auto it = find((void*)pointer);
                if (it != allocations.end())
                    spans.push_back({pointer, it->first + it->second.size, number[it->first],
                                     kernel.kinds[i] != 'c', int(i)});
            }
    }
    const on_cpu::Launch launch = {
        grid, block, kernel.enter, given->values.data(), memories.data(), spans.data(),
        library.shared_begin, library.shared_end, int(memories.size()), int(spans.size()),
        int(launches % 3), 1, checked, library.waits};
    const char* const text = run_launch(&launch);
    if (*text) return std::string(kernel.name) + ": " + text;
    if (!checked)
        for (const auto& it : reached) gpu::mark_written((void*)it->first);
    return "";
}

}  // namespace

extern "C" {
int not_emulated(const char* name) { return gpu::not_emulated(name); }
void nothing_emulated(const char* name) { overdue = cudaError_t(gpu::not_emulated(name)); }
long* launch_count() { return &launches; }
void look_at(long count) { looks = count; }

CUresult cuGetErrorName(CUresult code, const char** name) {
    static char text[32];
    snprintf(text, sizeof text, "CUDA_ERROR_%d", code);
    *name = text;
    return CUDA_SUCCESS;
}

CUresult cuGetErrorString(CUresult, const char** text) { *text = message.c_str(); return CUDA_SUCCESS; }
CUresult cuCtxGetCurrent(CUcontext* context) { *context = (CUcontext)(0x10l + current_device); return CUDA_SUCCESS; }
CUresult cuCtxSetCurrent(CUcontext) { return CUDA_SUCCESS; }
CUresult cuCtxGetDevice(CUdevice* device) { *device = current_device; return CUDA_SUCCESS; }
CUresult cuStreamGetCtx(CUstream, CUcontext* context) { return cuCtxGetCurrent(context); }

// An image is a shared library: what tests/cupy_on_cpu/compiler.py makes of a source.
CUresult cuModuleLoadData(CUmodule* module, const void* image) {
    LOCKED;
    const auto* const elf = (const Elf64_Ehdr*)image;
    if (memcmp(elf->e_ident, ELFMAG, SELFMAG)) return refused(CUDA_ERROR_INVALID_IMAGE, "no image of a kernel");
    const size_t size = elf->e_shoff + size_t(elf->e_shentsize) * elf->e_shnum;
    char path[] = "/tmp/kernels-XXXXXX";  // another for each: the linker knows libraries by their paths
    const int file = mkstemp(path);
    const bool complete = write(file, image, size) == ssize_t(size);
    close(file);
    void* const library = complete ? dlopen(path, RTLD_NOW) : nullptr;
    unlink(path);
    if (!library) return refused(CUDA_ERROR_INVALID_IMAGE, complete ? dlerror() : "no room for an image");
    const auto call = [&](const char* name) { return ((void* (*)())dlsym(library, name))(); };
    const auto number = [&](const char* name) { return *(const int*)dlsym(library, name); };
    *module = (CUmodule) new Library{current_device, (const on_cpu::Kernel*)call("kernels"),
                                     (unsigned char*)call("shared_begin"), (unsigned char*)call("shared_end"),
                                     number("checked"), number("waits")};
    return CUDA_SUCCESS;
}

CUresult cuModuleUnload(CUmodule) { return CUDA_SUCCESS; }  // kernels that wait their turn are in it

CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name) {
    LOCKED;
    const auto* const library = (const Library*)module;
    for (const on_cpu::Kernel* kernel = library->kernels; kernel->name; ++kernel)
        if (!strcmp(kernel->name, name)) {
            *function = (CUfunction) new Function{library, kernel};
            return CUDA_SUCCESS;
        }
    return refused(CUDA_ERROR_NOT_FOUND, std::string("there is no kernel ") + name);
}

CUresult cuLaunchKernel(CUfunction handle, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                        unsigned bz, unsigned, CUstream stream, void** params, void**) {
    LOCKED;
    const Function& function = *(const Function*)handle;
    char text[256] = "";
    if (!gx || !gy || !gz || gx > 0x7fffffff || gy > 65535 || gz > 65535 || !bx || !by || !bz || bz > 64 ||
        (unsigned long)bx * by * bz > 1024)
        snprintf(text, sizeof text, "%s: no GPU launches (%u, %u, %u) blocks of (%u, %u, %u) threads",
                 function.kernel->name, gx, gy, gz, bx, by, bz);
    else if (function.library->device != current_device)
        snprintf(text, sizeof text, "%s was loaded on device %d, and device %d is current", function.kernel->name,
                 function.library->device, current_device);
    if (text[0]) return refused(CUDA_ERROR_INVALID_VALUE, text);
    ++launches;
    if (gpu::idle()) return CUDA_SUCCESS;
    const auto given = arguments_of(*function.kernel, params);
    return (CUresult)gpu::enqueue((cudaStream_t)stream, function.kernel->name, [=] {
        return run(function, {gx, gy, gz}, {bx, by, bz}, given);
    });
}

CUresult cuFuncGetAttribute(int* value, CUfunction_attribute which, CUfunction) {
    *value = which == CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK ? 1024 : which == CU_FUNC_ATTRIBUTE_NUM_REGS ? 32 : 0;
    return CUDA_SUCCESS;
}

CUresult cuFuncSetAttribute(CUfunction, CUfunction_attribute, int) { return CUDA_SUCCESS; }

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, CUfunction, int threads, size_t) {
    *blocks = 2048 / threads;
    return CUDA_SUCCESS;
}

CUresult cuOccupancyMaxPotentialBlockSize(int* grid, int* block, CUfunction, CUoccupancyB2DSize, size_t, int) {
    *grid = 264, *block = 1024;
    return CUDA_SUCCESS;
}
}
