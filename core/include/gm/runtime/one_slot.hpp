// One message from any thread to one other, which takes it when it can: what people order.
#pragma once

#include <atomic>

namespace gm {

template <typename Message>
class OneSlot {
 public:
    // One caller at a time. False: the one before it is not taken yet.
    [[nodiscard]] bool offer(const Message& message) noexcept {
        if (is_full()) return false;
        message_ = message;
        is_full_.store(true, std::memory_order_release);  // pairs with front()
        return true;
    }
    [[nodiscard]] bool is_full() const noexcept {
        return is_full_.load(std::memory_order_acquire);  // pairs with pop()
    }

    // Who takes it. nullptr: nothing is there.
    [[nodiscard]] const Message* front() const noexcept {
        return is_full_.load(std::memory_order_acquire) ? &message_ : nullptr;
    }
    void pop() noexcept { is_full_.store(false, std::memory_order_release); }

 private:
    std::atomic<bool> is_full_{false};
    Message message_{};  // who takes it while is_full_, else the caller's
};

}  // namespace gm
