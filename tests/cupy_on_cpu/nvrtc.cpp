// NVIDIA's runtime compiler, as CuPy calls it: a program is handed to Python (compiler.py).
#include <string>
#include <vector>

namespace {

struct Program {
    std::string source, log, image;
    std::vector<std::string> names, lowered;
};

// Returns whether it compiles; calls `compiled` with the image or the log.
using Compile = bool (*)(Program*, const char* source, int n_options, const char** options, int n_names,
                         const char** names);
Compile compile;

}  // namespace

extern "C" {
void compile_with(Compile given) { compile = given; }

void compiled(Program* program, const char* log, const char* image, unsigned long size) {
    program->log = log;
    program->image.assign(image, size);
}

const char* nvrtcGetErrorString(int result) { return result == 6 ? "NVRTC_ERROR_COMPILATION" : "NVRTC_ERROR"; }

int nvrtcVersion(int* major, int* minor) {
    *major = 13, *minor = 0;
    return 0;
}

int nvrtcCreateProgram(Program** program, const char* source, const char*, int, const char**, const char**) {
    *program = new Program{source, "", "", {}, {}};
    return 0;
}

int nvrtcDestroyProgram(Program** program) {
    delete *program;
    *program = nullptr;
    return 0;
}

int nvrtcAddNameExpression(Program* program, const char* name) {
    program->lowered.push_back("kernel" + std::to_string(program->names.size()));
    program->names.push_back(name);
    return 0;
}

int nvrtcGetLoweredName(Program* program, const char* name, const char** lowered) {
    for (size_t i = 0; i < program->names.size(); ++i)
        if (program->names[i] == name) {
            *lowered = program->lowered[i].c_str();
            return 0;
        }
    return 10;  // NVRTC_ERROR_NAME_EXPRESSION_NOT_VALID
}

int nvrtcCompileProgram(Program* program, int n, const char** options) {
    std::vector<const char*> names;
    for (const std::string& name : program->names) names.push_back(name.c_str());
    return compile(program, program->source.c_str(), n, options, int(names.size()), names.data()) ? 0 : 6;
}

int nvrtcGetCUBINSize(Program* program, size_t* size) {
    *size = program->image.size();
    return 0;
}

int nvrtcGetCUBIN(Program* program, char* to) {
    program->image.copy(to, program->image.size());
    return 0;
}

int nvrtcGetPTXSize(Program* program, size_t* size) { return nvrtcGetCUBINSize(program, size); }
int nvrtcGetPTX(Program* program, char* to) { return nvrtcGetCUBIN(program, to); }

int nvrtcGetProgramLogSize(Program* program, size_t* size) {
    *size = program->log.size() + 1;
    return 0;
}

int nvrtcGetProgramLog(Program* program, char* to) {
    program->log.copy(to, program->log.size());
    to[program->log.size()] = 0;
    return 0;
}

int nvrtcGetNumSupportedArchs(int* count) {
    *count = 1;
    return 0;
}

int nvrtcGetSupportedArchs(int* archs) {
    *archs = 90;
    return 0;
}
}
