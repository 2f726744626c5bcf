#include "gm/runtime/kill_switch.hpp"

#include <algorithm>
#include <cstring>

#include "gm/base/clock.hpp"
#include "gm/journal/run_lock.hpp"

namespace gm {
namespace {

constexpr std::array<std::uint8_t, 16> kNoLatch{};

KillLevel one_down(KillLevel level) noexcept {
    const auto number = static_cast<std::uint8_t>(level);
    return static_cast<KillLevel>(number == 0 ? 0 : number - 1);
}

template <std::size_t kSize>
void copy_text(const std::string& from, char (&out)[kSize]) noexcept {
    std::memcpy(out, from.data(), std::min(from.size(), kSize - 1));
}

}  // namespace

Failure KillSwitch::open(const std::string& run_dir, const std::string& words_path,
                         std::size_t instruments, std::uint32_t installation) {
    if (instruments > kKillInstrumentsMax) {
        return fail(Status::kBadSettings,
                    "instruments with a kill word: " + std::to_string(instruments) + ", at most " +
                        std::to_string(kKillInstrumentsMax));
    }
    run_dir_ = run_dir;
    installation_ = installation;
    words_used_ = instruments + 1;
    Failure failure = words_.open(words_path);
    LatchReading found;
    if (failure.is_ok()) failure = read_latch(run_dir, found);
    if (!failure.is_ok()) return failure;
    doubt_ = found.doubt;
    written_ = found.record;
    target_.record = found.record;
    target_.record.installation = installation;
    if (!found.doubt.empty()) {
        KillText text{};
        copy_text("engine", text.author);
        copy_text(doubt_, text.reason);
        target_.record.text = text;
        target_.record.raised_wall_ns = wall_ns();
    }
    for (std::size_t at = 0; at < kKillWords; ++at) {
        const KillLevel latched = found.record.level_of(at);
        if (latched > words_.word(at).level) words_.raise(at, latched, found.record.cause);
        const KillWord word = words_.word(at);
        if (word.level > latched) note_raise(at, word);
        target_.generations[at] = word.generation;
    }
    // A copy that is damaged is written anew; without any latch there is nothing to write.
    if (found.is_there && !found.is_in_step) ++target_.version;
    is_changed_ = target_.version != written_version_;
    return ok();
}

// mutex_ is held, or no other thread runs.
void KillSwitch::note_raise(std::size_t word, const KillWord& raised) noexcept {
    KillRecord& record = target_.record;
    record.set_level(word, std::max(record.level_of(word), raised.level));
    record.cause = raised.cause;
    record.raised_wall_ns = wall_ns();
    record.text = KillText{};
    const bool has_text = raised.cause == KillCause::kOrdered || raised.cause == KillCause::kLimits;
    if (!has_text || !words_.read_text(record.text)) {
        const char* author = raised.cause == KillCause::kOrdered ? "unknown" : "engine";
        copy_text(author, record.text.author);
        copy_text(describe(raised.cause), record.text.reason);
    }
    target_.generations[word] = raised.generation;
    ++target_.version;
    target_.is_due = false;
    is_changed_ = true;
}

void KillSwitch::meet(const Engine& engine) noexcept {
    for (std::size_t at = 0; at < words_used_; ++at) {
        const KillLevel has = at == 0 ? engine.account_level() : engine.desks()[at - 1].level;
        if (has > words_.word(at).level) {
            words_.raise(at, has, KillCause::kFormerLife);
            note_raise(at, words_.word(at));
        }
        const KillWord word = words_.word(at);
        // What it has already need not be told; an active word that was raised once, neither.
        if (word.level == has) told_[at] = word;
#ifdef GM_MUTANT_P13S  // takes it that the engine knows what was raised while it was dead
        told_[at] = word;
#endif
    }
}

bool KillSwitch::next_change(Kill& out) noexcept {
    for (std::size_t at = 0; at < words_used_; ++at) {
        const KillWord word = words_.word(at);
        if (word == told_[at]) continue;
        out = {};
        out.generation = word.generation;
        out.instrument = kill_instrument_of(at);
        out.level = word.level;
        // next_fall() alone tells of falls. Where one did not come as far as the latch, its word
        // stands above the engine again: that is a raise, whatever brought the word there.
        out.cause = word.cause == KillCause::kCleared ? KillCause::kFormerLife : word.cause;
        return true;
    }
    return false;
}

void KillSwitch::told(const Kill& kill) noexcept {
    const std::size_t at = kill_word_of(kill.instrument);
    const KillWord now = words_.word(at);
    const bool is_same = now.generation == kill.generation;  // else the next look finds the rest
    const KillWord word = is_same ? now : KillWord{kill.generation, kill.level, kill.cause};
    told_[at] = word;
    const std::lock_guard<std::mutex> lock(mutex_);
    // At a start the latch has it already: what was signed for its record stays good.
    if (target_.generations[at] != kill.generation) note_raise(at, word);
}

void KillSwitch::take_engine_raise(const KillState& state) noexcept {
    const std::size_t at = kill_word_of(state.instrument);
    words_.raise(at, state.level, state.cause);
    // One that somebody has raised higher is told as well: the engine has this level, no more.
    const KillWord word = words_.word(at);
    if (word.level == state.level) told_[at] = word;
    const std::lock_guard<std::mutex> lock(mutex_);
    note_raise(at, {told_[at].generation, state.level, state.cause});
}

void KillSwitch::latch_behind(std::uint64_t position) noexcept {
    if (!is_changed_) return;
    is_changed_ = false;
    const std::lock_guard<std::mutex> lock(mutex_);
    target_.position = position;
    target_.is_due = true;
}

// ---- the latch

Failure KillSwitch::begin_latch(KillRecord& record) const {
    record.written_wall_ns = wall_ns();
    if (record.level() == KillLevel::kActive) {
        record.latch_id = kNoLatch;
        return ok();
    }
    return record.latch_id == kNoLatch ? draw_latch_id(record.latch_id) : ok();
}

Failure KillSwitch::attend(std::uint64_t synced) {
    // Two at once would give one number to two records.
    const std::lock_guard<std::mutex> only(latch_mutex_);
    Target target;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        const bool is_ready =
            target_.is_due && target_.version != written_version_ && target_.position <= synced;
        if (!is_ready) return ok();
        target = target_;
        target.record.sequence = written_.sequence;
        target.record.latch_id = written_.latch_id;
    }
    Failure failure = begin_latch(target.record);
    if (failure.is_ok()) failure = write_latch(run_dir_, target.record);
    const std::lock_guard<std::mutex> lock(mutex_);
    written_.sequence = target.record.sequence;  // also of a write that failed half-way
    if (!failure.is_ok()) return failure;
    written_ = target.record;
    written_version_ = target.version;
    for (std::size_t at = 0; at < kKillWords; ++at) words_.confirm(at, target.generations[at]);
    return ok();
}

Failure KillSwitch::finish() {
    if (!is_open()) return ok();
    for (std::size_t at = 0; at < kKillWords; ++at) {
        const KillWord word = words_.word(at);
        const bool is_new = word.generation != target_.generations[at];
        if (is_new && word.level > KillLevel::kActive) note_raise(at, word);
    }
    target_.is_due = true;
    target_.position = 0;
    return attend(0);
}

KillRecord KillSwitch::latched() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return written_;
}

// ---- falling

std::string KillSwitch::order_fall(const ClearOrder& order) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const std::int64_t now_ns = monotonic_ns();
    if (is_falling() && now_ns <= fall_until_ns_) {
        return "the fall before this one is still under way";
    }
    if (target_.version != written_version_) return "a raise is not latched yet";
    if (written_.level() == KillLevel::kActive) return "nothing is latched";
    if (written_.latch_id != order.latch_id) return "another latch stands than the one signed for";
    if (written_.sequence != order.sequence) {
        return "the latch was written anew since: it is record " +
               std::to_string(written_.sequence) + ", signed was " + std::to_string(order.sequence);
    }
    if (order.level != one_down(written_.level())) {
        return std::string("a level falls by one: from ") + describe(written_.level()) + " to " +
               describe(one_down(written_.level()));
    }
    fall_ = order;
    fall_until_ns_ = now_ns + kFallWithinNs;
    fall_of_version_ = target_.version;
    is_falling_.store(true, std::memory_order_release);  // pairs with next_fall()
    return {};
}

bool KillSwitch::next_fall(Kill& out) noexcept {
    if (!is_falling() || fall_version_ != 0) return false;
    const std::lock_guard<std::mutex> lock(mutex_);
    const bool is_raised = target_.version != fall_of_version_;
    if (next_fall_ == 0 && (is_raised || monotonic_ns() > fall_until_ns_)) {
        is_falling_.store(false, std::memory_order_release);
        return false;
    }
    fall_until_ns_ = INT64_MAX;  // it has begun
    const auto from = static_cast<KillLevel>(static_cast<std::uint8_t>(fall_.level) + 1);
    for (; next_fall_ < words_used_; ++next_fall_) {
        const std::size_t at = next_fall_;
        if (target_.record.level_of(at) != from) continue;
        ++next_fall_;
        falls_[at] = true;
        falls_from_[at] = told_[at];
        out = {};
        std::memcpy(out.latch_id, fall_.latch_id.data(), sizeof out.latch_id);
        std::memcpy(out.signatures_sha256, fall_.signatures_sha256.data(),
                    sizeof out.signatures_sha256);
        out.generation = told_[at].generation;
        out.instrument = kill_instrument_of(at);
        out.level = fall_.level;
        out.cause = KillCause::kCleared;
        target_.record.set_level(at, fall_.level);
        return true;
    }
    target_.record.cause = KillCause::kCleared;
    target_.record.signatures_sha256 = fall_.signatures_sha256;
    fall_version_ = ++target_.version;
    target_.is_due = false;
    is_changed_ = true;
    return false;
}

void KillSwitch::advance_fall() noexcept {
    if (fall_version_ == 0) return;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (written_version_ < fall_version_) return;
    }
    for (std::size_t at = 0; at < words_used_; ++at) {
        if (!falls_[at]) continue;
        falls_[at] = false;
        // A raise that came between stands: the word is another, and is told like any.
#ifdef GM_MUTANT_P13F  // takes back what nobody has signed for
        falls_from_[at] = words_.word(at);
#endif
        if (!words_.lower(at, falls_from_[at], fall_.level)) continue;
        told_[at] = {falls_from_[at].generation + 1, fall_.level, KillCause::kCleared};
        const std::lock_guard<std::mutex> lock(mutex_);
        target_.generations[at] = told_[at].generation;
        words_.confirm(at, told_[at].generation);
    }
    fall_version_ = 0;
    next_fall_ = 0;
    is_falling_.store(false, std::memory_order_release);
}

Failure raise_without_engine(const std::string& run_dir, const std::string& words_path,
                             std::uint32_t instrument, KillLevel level,
                             std::uint32_t installation) {
    RunLock lock;
    Failure failure = lock.acquire(run_dir);
    KillSwitch kill;
    if (failure.is_ok()) {
        failure = kill.open(run_dir, words_path, kKillInstrumentsMax, installation);
    }
    if (!failure.is_ok()) return failure;
    kill.words().raise(kill_word_of(instrument), level, KillCause::kOrdered);
    return kill.finish();
}

}  // namespace gm
