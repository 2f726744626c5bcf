#include "gm/runtime/thread.hpp"

#include <sched.h>
#include <signal.h>

#include <system_error>
#include <utility>

namespace gm {
namespace {

Failure thread_failure(const std::string& what, int error) {
    return fail(Status::kSystemCallFailed, what + ": " + std::generic_category().message(error));
}

}  // namespace

void* Thread::run(void* self) noexcept {
    static_cast<Thread*>(self)->body_();
    return nullptr;
}

Failure Thread::start(const std::string& name, int cpu, std::function<void()> body) {
    join();
    body_ = std::move(body);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    int error = 0;
    if (cpu >= 0) {
        cpu_set_t cores;
        CPU_ZERO(&cores);
        CPU_SET(static_cast<std::size_t>(cpu), &cores);
        error = pthread_attr_setaffinity_np(&attributes, sizeof cores, &cores);
    }
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);  // inherited by the new thread
    if (error == 0) error = pthread_create(&handle_, &attributes, &Thread::run, this);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    pthread_attr_destroy(&attributes);
    if (error != 0) {
        return thread_failure("cannot start thread " + name + " on cpu " + std::to_string(cpu),
                              error);
    }
    is_started_ = true;
    pthread_setname_np(handle_, name.substr(0, 15).c_str());  // Linux: 15 characters
    return ok();
}

void Thread::join() noexcept {
    if (!is_started_) return;
    pthread_join(handle_, nullptr);
    is_started_ = false;
}

}  // namespace gm
