// die_at_write: runs a command and ends it like kill -9 at one of its persistent writes.
//
// Every system call with which any thread of the command changes a file or a folder below one of
// the given folders is counted; at the chosen one the whole process is killed, before the call
// happens or as it returns. seccomp stops the command at these calls alone, so it runs at its own
// pace otherwise. What is written through a mapping makes no call: single_step.cpp looks at that.
// Prints "<call> <path>" of the last write, or "survived <count>"; exit 137, or the command's own.
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

constexpr const char* kUsage =
    "die_at_write AT before|after TERM_AT FOLDER FOLDER COMMAND...\n"
    "  AT: the write at which it dies; 0: none. TERM_AT: the write at which SIGTERM asks it to "
    "stop; 0: none.\n";
constexpr int kUsageExit = 2;
constexpr int kKilledExit = 137;
constexpr std::size_t kFirstCommand = 6;

enum class Names : std::uint8_t { kDescriptor, kPath, kNewPath, kAtPath };

struct Call {
    std::uint32_t number;
    const char* name;
    Names names;  // how it says which file it means
};

constexpr std::array kCalls{
    Call{SYS_write, "write", Names::kDescriptor},
    Call{SYS_pwrite64, "pwrite", Names::kDescriptor},
    Call{SYS_writev, "writev", Names::kDescriptor},
    Call{SYS_pwritev, "pwritev", Names::kDescriptor},
    Call{SYS_fsync, "fsync", Names::kDescriptor},
    Call{SYS_fdatasync, "fdatasync", Names::kDescriptor},
    Call{SYS_ftruncate, "ftruncate", Names::kDescriptor},
    Call{SYS_fallocate, "fallocate", Names::kDescriptor},
    Call{SYS_sync_file_range, "sync_file_range", Names::kDescriptor},
    Call{SYS_rename, "rename", Names::kNewPath},
    Call{SYS_unlink, "unlink", Names::kPath},
    Call{SYS_rmdir, "rmdir", Names::kPath},
    Call{SYS_mkdir, "mkdir", Names::kPath},
    Call{SYS_openat, "create", Names::kAtPath},  // counted where it makes or empties a file
    Call{SYS_unlinkat, "unlink", Names::kAtPath},
};

struct Plan {
    std::uint64_t at = 0;
    bool is_after = false;
    std::uint64_t term_at = 0;
    std::array<std::string, 2> folders;
};

void stop_at_calls() {
    std::vector<sock_filter> program;
    program.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)));
    for (const Call& call : kCalls) {
        program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call.number, 0, 1));
        program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE));
    }
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) {
        std::perror("seccomp");
        _exit(kUsageExit);
    }
}

[[noreturn]] void become(char** command) {
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    raise(SIGSTOP);
    stop_at_calls();
    execv(command[0], command);
    std::perror(command[0]);
    _exit(kUsageExit);
}

std::string text_at(pid_t thread, std::uint64_t address) {
    std::array<char, 4096> bytes{};
    const iovec here{bytes.data(), bytes.size() - 1};
    const iovec there{reinterpret_cast<void*>(address), bytes.size() - 1};
    // It ends where the next page is not there.
    if (process_vm_readv(thread, &here, 1, &there, 1, 0) <= 0) {
        const iovec rest{reinterpret_cast<void*>(address), 4096 - address % 4096};
        if (process_vm_readv(thread, &here, 1, &rest, 1, 0) <= 0) return {};
    }
    return bytes.data();
}

std::string file_of(pid_t thread, std::uint64_t descriptor) {
    const std::string link =
        "/proc/" + std::to_string(thread) + "/fd/" + std::to_string(descriptor);
    std::array<char, 4096> path{};
    const ssize_t size = readlink(link.c_str(), path.data(), path.size());
    return size < 0 ? std::string() : std::string(path.data(), static_cast<std::size_t>(size));
}

bool lies_in(const std::string& path, const std::string& folder) {
    return path == folder || path.starts_with(folder + "/");
}

class Tracer {
 public:
    Tracer(pid_t child, const Plan& plan) : child_(child), plan_(plan) {}

    int run() {
        int status = 0;
        if (waitpid(child_, &status, 0) != child_) return kUsageExit;
        constexpr long kOptions = PTRACE_O_EXITKILL | PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE |
                                  PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC |
                                  PTRACE_O_TRACESYSGOOD;
        ptrace(PTRACE_SETOPTIONS, child_, nullptr, kOptions);
        ptrace(PTRACE_CONT, child_, nullptr, nullptr);
        for (;;) {  // bounded by the command, which ends
            const pid_t thread = waitpid(-1, &status, __WALL);
            if (thread < 0) return kUsageExit;
            if (WIFSTOPPED(status)) {
                if (take(thread, status)) return die();
            } else if (thread == child_) {
                std::printf("survived %llu\n", static_cast<unsigned long long>(count_));
                return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            }
        }
    }

 private:
    // True: here it dies.
    bool take(pid_t thread, int status) {
        const int event = status >> 16;
        const int number = WSTOPSIG(status);
        if (event == PTRACE_EVENT_SECCOMP && is_last(thread)) {
            if (!plan_.is_after) return true;
            ptrace(PTRACE_SYSCALL, thread, nullptr, nullptr);
            last_thread_ = thread;
            return false;
        }
        if (number == (SIGTRAP | 0x80)) {
            if (thread == last_thread_) return true;  // the call has returned
            ptrace(PTRACE_CONT, thread, nullptr, nullptr);
            return false;
        }
        const bool is_ours = event != 0 || number == SIGSTOP;  // a new thread begins with a stop
        ptrace(PTRACE_CONT, thread, nullptr, is_ours ? 0 : number);
        return false;
    }

    bool is_last(pid_t thread) {
        user_regs_struct registers{};
        ptrace(PTRACE_GETREGS, thread, nullptr, &registers);
        for (const Call& call : kCalls) {
            if (call.number == registers.orig_rax) return counts(thread, call, registers);
        }
        return false;
    }

    bool counts(pid_t thread, const Call& call, const user_regs_struct& registers) {
        std::string path;
        switch (call.names) {
            case Names::kDescriptor: path = file_of(thread, registers.rdi); break;
            case Names::kPath: path = text_at(thread, registers.rdi); break;
            case Names::kNewPath: path = text_at(thread, registers.rsi); break;
            case Names::kAtPath: path = text_at(thread, registers.rsi); break;
        }
        const bool is_open = call.number == SYS_openat;
        if (is_open && (registers.rdx & (O_CREAT | O_TRUNC)) == 0) return false;
        if (!lies_in(path, plan_.folders[0]) && !lies_in(path, plan_.folders[1])) return false;
        ++count_;
        last_ = std::string(call.name) + " " + path;
        if (count_ == plan_.term_at) kill(child_, SIGTERM);
        return count_ == plan_.at;
    }

    int die() {
        kill(child_, SIGKILL);
        // A traced process is gone when each of its threads was waited for, the first one last.
        for (pid_t thread = 0; thread != child_ && (thread >= 0 || errno == EINTR);) {
            int status = 0;
            thread = waitpid(-1, &status, __WALL);
            if (thread == child_ && WIFSTOPPED(status)) thread = 0;
        }
        std::printf("%s\n", last_.c_str());
        return kKilledExit;
    }

    pid_t child_;
    const Plan& plan_;
    std::uint64_t count_ = 0;
    std::string last_;
    pid_t last_thread_ = 0;
};

}  // namespace

int main(int count, char** values) {
    if (static_cast<std::size_t>(count) <= kFirstCommand) {
        std::fputs(kUsage, stderr);
        return kUsageExit;
    }
    Plan plan;
    plan.at = std::strtoull(values[1], nullptr, 10);
    plan.is_after = std::strcmp(values[2], "after") == 0;
    plan.term_at = std::strtoull(values[3], nullptr, 10);
    plan.folders = {values[4], values[5]};
    const pid_t child = fork();
    if (child == 0) become(values + kFirstCommand);
    return Tracer(child, plan).run();
}
