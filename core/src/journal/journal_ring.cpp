// The ring's file: making it, mapping it, and finding what a killed process left in it.
#include "gm/journal/journal_ring.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>

#include "gm/journal/journal_file.hpp"

namespace gm {

namespace {

constexpr std::uint64_t kCapacityMin = 2;
constexpr std::uint64_t kCapacityMax = 1ULL << 40;

std::uint64_t mapping_bytes(std::uint64_t capacity) noexcept {
    return kRingHeaderSize + capacity * sizeof(Slot);
}

Failure check_capacity(std::uint64_t capacity) {
    if (std::has_single_bit(capacity) && capacity >= kCapacityMin && capacity <= kCapacityMax) {
        return ok();
    }
    return fail(
        Status::kBadCapacity,
        "journal_ring_capacity must be a power of two from 2 to 2^40: " + std::to_string(capacity));
}

JournalRingHeader make_header(std::uint64_t capacity, std::uint64_t position,
                              std::uint64_t journal_id) noexcept {
    JournalRingHeader header{};
    header.magic = kRingMagic;
    header.schema = kSchema;
    header.slot_bytes = sizeof(Slot);
    header.capacity = capacity;
    header.journal_id = journal_id;
    header.published = position;
    header.drained = position;
    return header;
}

}  // namespace

void JournalRing::close() noexcept {
    if (header_ != nullptr) ::munmap(header_, mapping_bytes(capacity_));
    header_ = nullptr;
    slots_ = nullptr;
    capacity_ = 0;
}

Failure JournalRing::map(int descriptor, const std::string& path, std::uint64_t capacity) {
    const std::uint64_t bytes = mapping_bytes(capacity);
    const int flags = descriptor < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
    void* memory =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags | MAP_POPULATE, descriptor, 0);
    if (memory == MAP_FAILED) return system_failure("map", path, errno);
    (void)::mlock(memory, bytes);  // without the privilege a page fault is the price, not an error
    header_ = static_cast<JournalRingHeader*>(memory);
    slots_ = reinterpret_cast<Slot*>(static_cast<std::byte*>(memory) + kRingHeaderSize);
    capacity_ = capacity;
    mask_ = capacity - 1;
    path_ = path;
    return ok();
}

void JournalRing::set_positions(std::uint64_t published, std::uint64_t drained) noexcept {
    std::atomic_ref(header_->published).store(published, std::memory_order_release);
    std::atomic_ref(header_->drained).store(drained, std::memory_order_release);
    position_ = published;
    published_seen_ = published;
    taken_ = drained;
    drained_seen_ = drained;
}

Failure JournalRing::make_file(const std::string& path, std::uint64_t capacity,
                               std::uint64_t position, std::uint64_t journal_id) {
    JournalFile file;
    Failure failure = file.create(path + ".new", FileHook{});
    if (failure.is_ok()) failure = file.allocate(mapping_bytes(capacity));
    const JournalRingHeader header = make_header(capacity, position, journal_id);
    if (failure.is_ok()) failure = file.write_at(0, std::as_bytes(std::span(&header, 1)));
    // The name appears only on a whole file, so a kill in between leaves no half-made ring.
    if (failure.is_ok()) failure = file.rename_to(path);
    if (!failure.is_ok()) ::unlink((path + ".new").c_str());  // gives the tmpfs its memory back
    return failure;
}

Failure JournalRing::open_anonymous(std::uint64_t capacity, std::uint64_t position) {
    close();
    Failure failure = check_capacity(capacity);
    if (failure.is_ok()) failure = map(-1, "anonymous memory", capacity);
    if (!failure.is_ok()) return failure;
    *header_ = make_header(capacity, position, 0);
    set_positions(position, position);
    path_.clear();
    return ok();
}

Failure JournalRing::open(const std::string& path, std::uint64_t capacity,
                          const RingPlace& new_place) {
    close();
    Failure failure = check_capacity(capacity);
    is_new_ = failure.is_ok() && !exists(path);
    if (is_new_) {
        failure = make_file(path, capacity, new_place.last_sequence, new_place.journal_id);
    }
    if (failure.is_ok()) failure = open_file(path);
    if (failure.is_ok() && capacity != capacity_ && published() == drained()) {
        failure = remake(capacity, published(), journal_id());
    }
    return failure;
}

Failure JournalRing::remake(std::uint64_t capacity, std::uint64_t position,
                            std::uint64_t journal_id) {
    const std::string path = path_;
    close();
    Failure failure = make_file(path, capacity, position, journal_id);
    return failure.is_ok() ? open_file(path) : failure;
}

Failure JournalRing::open_file(const std::string& path) {
    JournalFile file;
    JournalRingHeader header{};
    std::uint64_t file_bytes = 0;
    std::size_t got = 0;
    Failure failure = file.open_to_read(path);
    if (failure.is_ok()) failure = file.size(file_bytes);
    if (failure.is_ok()) {
        failure = file.read_at(0, std::as_writable_bytes(std::span(&header, 1)), got);
    }
    if (!failure.is_ok()) return failure;
    const bool is_ring =
        got == sizeof header && header.magic == kRingMagic && header.slot_bytes == sizeof(Slot) &&
        check_capacity(header.capacity).is_ok() && file_bytes == mapping_bytes(header.capacity);
    if (!is_ring) return fail(Status::kJournalCorrupt, path + " is not a journal ring");
    if (header.schema != kSchema) {
        return fail(Status::kSchemaMismatch, "the journal ring " + path + " has schema " +
                                                 std::to_string(header.schema) + ", not " +
                                                 std::to_string(kSchema));
    }
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (descriptor < 0) return system_failure("open", path, errno);
    failure = map(descriptor, path, header.capacity);
    ::close(descriptor);
    if (failure.is_ok()) failure = recover();
    if (!failure.is_ok()) close();
    return failure;
}

Failure JournalRing::recover() {
    const std::uint64_t drained = header_->drained;
    std::uint64_t published = header_->published;
    if (drained > published || published - drained > capacity_) {
        return fail(Status::kJournalCorrupt, "the journal ring " + path_ + " has published " +
                                                 std::to_string(published) + " and drained " +
                                                 std::to_string(drained));
    }
    const auto holds = [this](std::uint64_t position) {
        const SlotTrailer& trailer = slots_[position & mask_].trailer;
        return trailer.journal_sequence == position + 1 &&
               trailer.commit == commit_word(position + 1);
    };
    for (std::uint64_t position = drained; position < published; ++position) {
        if (!holds(position)) {
            return fail(Status::kJournalCorrupt, "the journal ring " + path_ + " has lost record " +
                                                     std::to_string(position + 1));
        }
    }
    // Killed between the commit word and the position: the record is there, its effect is not.
    while (published - drained < capacity_ && holds(published)) ++published;
    set_positions(published, drained);
    return ok();
}

Failure JournalRing::join(std::uint64_t journal_id, std::uint64_t last_sequence) {
    const std::uint64_t drained = header_->drained;
    const std::uint64_t published = header_->published;
    const auto places = [&] {
        return "the journal ring " + path_ + " (journal " + std::to_string(header_->journal_id) +
               ", published " + std::to_string(published) + ", drained " + std::to_string(drained) +
               ") and the segments (journal " + std::to_string(journal_id) + ", last record " +
               std::to_string(last_sequence) + ")";
    };
    if (header_->journal_id == 0 && published == drained) {  // new, or its tmpfs was lost
        if (!path_.empty()) return remake(capacity_, last_sequence, journal_id);
        set_positions(last_sequence, last_sequence);
        header_->journal_id = journal_id;
        return ok();
    }
    if (header_->journal_id == 0 && drained == 0 && last_sequence == 0) {
        std::atomic_ref(header_->journal_id).store(journal_id, std::memory_order_release);
        return ok();
    }
    if (header_->journal_id != journal_id) {
        return fail(Status::kJournalForeign,
                    places() +
                        " are not of one journal; if the run directory was removed on"
                        " purpose, remove the ring file too");
    }
    if (last_sequence < drained || last_sequence > published) {
        return fail(Status::kJournalCorrupt, places() + " do not meet");
    }
    return ok();
}

}  // namespace gm
