// The dozen functions of onnxruntime's C API that a benchmark needs, resolved from the wheel.
//
// The wheel ships the library without headers. OrtApi is a table of function pointers that only
// ever grows at its end, so an index names a function for ever; those below are of version 1.
// Source: onnxruntime_c_api.h, struct OrtApi.
#pragma once

#include <dlfcn.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <vector>

namespace bench {

class OnnxRuntime {
 public:
    // Ends the program with a message if the library or a function is missing.
    explicit OnnxRuntime(const char* library) {
        void* handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
        void* symbol = handle != nullptr ? dlsym(handle, "OrtGetApiBase") : nullptr;
        if (symbol == nullptr) {
            std::fprintf(stderr, "%s\n", dlerror());
            std::exit(1);
        }
        struct Base {
            const void* const* (*get_api)(std::uint32_t version);
            const char* (*get_version)();
        };
        table_ = reinterpret_cast<const Base* (*)()>(symbol)()->get_api(1);
        check(call<3>(2, "bench", &environment_));  // CreateEnv, warnings
        check(call<68 + 1>(0, 0, &memory_));        // CreateCpuMemoryInfo
    }

    struct Session {
        void* session;
        void* input;  // a view of the caller's floats
        void* output;
        const char* input_name;
        const char* output_name;
    };

    // One thread, all optimisations; input and output are the caller's memory, so that a run
    // allocates as little as the API lets it. sample: shape of one, without the batch.
    Session open(const std::vector<std::uint8_t>& onnx, std::span<const std::uint32_t> sample,
                 std::size_t batch, std::vector<float>& input, std::vector<float>& output) {
        Session opened{nullptr, nullptr, nullptr, "observation", "logits"};
        void* options = nullptr;
        check(call<10>(&options));     // CreateSessionOptions
        check(call<23>(options, 99));  // SetSessionGraphOptimizationLevel: all
        check(call<24>(options, 1));   // SetIntraOpNumThreads
        check(call<25>(options, 1));   // SetInterOpNumThreads
        check(call<8>(environment_, onnx.data(), onnx.size(), options, &opened.session));
        std::vector<std::int64_t> shape{static_cast<std::int64_t>(batch)};
        shape.insert(shape.end(), sample.begin(), sample.end());
        opened.input = wrap(input, shape);
        opened.output = wrap(output, {shape[0], static_cast<std::int64_t>(output.size() / batch)});
        return opened;
    }

    void run(const Session& session) const {
        check(call<9>(session.session, static_cast<void*>(nullptr), &session.input_name,
                      &session.input, std::size_t{1}, &session.output_name, std::size_t{1},
                      &session.output));
    }

 private:
    template <std::size_t kIndex, typename... Arguments>
    void* call(Arguments... arguments) const {
        return reinterpret_cast<void* (*)(Arguments...)>(const_cast<void*>(table_[kIndex]))(
            arguments...);
    }

    void* wrap(std::vector<float>& floats, const std::vector<std::int64_t>& shape) const {
        void* value = nullptr;
        check(call<49>(memory_, static_cast<void*>(floats.data()), floats.size() * sizeof(float),
                       shape.data(), shape.size(), 1, &value));  // CreateTensorWithDataAsOrtValue
        return value;
    }

    void check(void* status) const {
        if (status != nullptr) {
            const void* text = call<2>(status);  // GetErrorMessage
            std::fprintf(stderr, "onnxruntime: %s\n", static_cast<const char*>(text));
            std::exit(1);
        }
    }

    const void* const* table_ = nullptr;
    void* environment_ = nullptr;
    void* memory_ = nullptr;
};

}  // namespace bench
