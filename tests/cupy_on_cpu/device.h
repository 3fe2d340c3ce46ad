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

// Says that a function of NVIDIA's is not emulated.
int not_emulated(const char* name);

// Has the next call that returns an error return this one, for the sake of functions that return
// nothing.
cudaError_t fail_later(cudaError_t code, const char* text);

// Returns what is wrong with addresses as those of the current device's memory, or nothing.
std::string strangers(std::initializer_list<const void*> addresses);

// Notes that the memory there has been written, by what is not looked at while it runs.
void mark_written(const void* at);

// Whether launches shall do nothing, so that only the host's time is left.
bool idle();

}  // namespace gpu
