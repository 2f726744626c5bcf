// Where a step writes: the journal first, then the door to the outside.
//
// send() of a token is the only way an order or a replace reaches the order ring; the other
// overloads carry messages that cannot open a position. Program order is journal push (release),
// then order-ring push: what left the process is explained by what is in the journal (ARCHITECTURE,
// law 3 and 4).
#pragma once

#include <cstdint>

#include "gm/base/archive.hpp"
#include "gm/journal/journal_ring.hpp"
#include "gm/ring/spsc_ring.hpp"
#include "gm/risk/gate.hpp"
#include "gm/wire/payload.hpp"
#include "gm/wire/record.hpp"

namespace gm {

// The envelope of everything that one step writes.
struct Stamp {
    std::uint64_t input_sequence;   // of the input that is being consumed
    std::uint64_t output_sequence;  // of the last output; grows with each
    std::int64_t now_ns;
    std::uint32_t epoch;

    void archive(Archive& archive) noexcept {
        archive(input_sequence, output_sequence, now_ns, epoch);
    }
};

class Outputs {
 public:
    // drop_copy may be null: backtest and replay have no subscribers.
    Outputs(JournalRing& journal, SpscRing<Slot>& orders, SpscRing<Slot>* drop_copy) noexcept
        : journal_(journal), orders_(orders), drop_copy_(drop_copy) {}

    [[nodiscard]] std::size_t free_records() noexcept { return journal_.free(); }

    void write_input(const Slot& input, std::uint64_t input_sequence) noexcept {
        journal_.append(input, input_sequence);
    }

    template <typename P>
    void write(Stamp& stamp, RecordType type, const P& payload) noexcept {
        ++stamp.output_sequence;
        Slot slot = make(stamp, type, payload);
        publish(slot);
    }

    // The one door: the message is written down, then handed to io. Never inlined, so that a linked
    // program shows who opens it (tests/test_one_door.py).
    void send(Stamp& stamp, RiskToken token) noexcept;
    void send(Stamp& stamp, ReplaceToken token) noexcept;

    void send(Stamp& stamp, const CancelOrder& cancel) noexcept {
        announce(stamp, RecordType::kCancelOrder, cancel);
    }
    void send(Stamp& stamp, const QueryOrder& query) noexcept {
        announce(stamp, RecordType::kQueryOrder, query);
    }
    void send(Stamp& stamp, const QueryRange& query) noexcept {
        announce(stamp, RecordType::kQueryRange, query);
    }
    void send(Stamp& stamp, const QueryAccount& query) noexcept {
        announce(stamp, RecordType::kQueryAccount, query);
    }
    void send(Stamp& stamp, const Ready& ready) noexcept {
        announce(stamp, RecordType::kReady, ready);
    }
    // Not for the venue: io raises the word that the send reads, ahead of every order after it.
    void send(Stamp& stamp, const KillState& state) noexcept {
        announce(stamp, RecordType::kKillState, state);
    }

    // To io: it answers once the disk has this record.
    void send(Stamp& stamp, const IdsWanted& wanted) noexcept {
        announce(stamp, RecordType::kIdsWanted, wanted);
    }

    // Messages that found the order ring full: io is gone or hangs. The engine halts on the first.
    [[nodiscard]] std::uint64_t unsent() const noexcept { return unsent_; }
    // Outputs that the drop-copy ring had no room for. Subscribers see the gap in the sequence.
    [[nodiscard]] std::uint64_t drop_copy_lost() const noexcept { return drop_copy_lost_; }

 private:
    template <typename P>
    [[nodiscard]] static Slot make(const Stamp& stamp, RecordType type, const P& payload) noexcept {
        Slot slot = make_slot(type, Source::kEngine, stamp.output_sequence, stamp.now_ns, payload);
        slot.header.epoch = stamp.epoch;
        slot.trailer.input_sequence = stamp.input_sequence;
        return slot;
    }

    template <typename P>
    void announce(Stamp& stamp, RecordType type, const P& payload) noexcept {
        write(stamp, type, payload);
        push(make(stamp, type, payload));
    }

    void publish(Slot& slot) noexcept {
        journal_.append(slot);
        if (drop_copy_ != nullptr && drop_copy_->push(slot) != Status::kOk) ++drop_copy_lost_;
    }

    void push(const Slot& slot) noexcept { unsent_ += orders_.push(slot) != Status::kOk; }

    JournalRing& journal_;
    SpscRing<Slot>& orders_;
    SpscRing<Slot>* drop_copy_;
    std::uint64_t unsent_ = 0;
    std::uint64_t drop_copy_lost_ = 0;
};

}  // namespace gm
