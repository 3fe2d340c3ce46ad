// What the parts of the emulated GPU share: streams, errors, and which memory has been written.
#pragma once
#include <cuda_runtime_api.h>

#include <functional>
#include <initializer_list>
#include <mutex>
#include <string>

namespace gpu {

using Work = std::function<std::string()>;  // returns what went wrong, or nothing

// One lock for everything: CuPy lets go of Python's own around its calls.
std::recursive_mutex& mutex();

// Does the work once it is this stream's turn: at once on the default stream, after what the other
// streams still have to do; on another stream not before somebody waits for it.
cudaError_t enqueue(cudaStream_t stream, const char* what, Work work);

// The same for a function of a library, which works on memory of the current device and writes `to`.
// Where launches do nothing, it does nothing.
cudaError_t compute(cudaStream_t stream, const char* what, std::initializer_list<const void*> from,
                    const void* to, std::function<void()> work);

// Notes that the memory there has been written, by what is not looked at while it runs.
void mark_written(const void* at);

// Says that a function of NVIDIA's is not emulated.
cudaError_t not_emulated(const char* name);

// Has the next call that returns an error return this one, for functions that return nothing.
void fail_later(cudaError_t code);

}  // namespace gpu
