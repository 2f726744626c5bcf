// A walk that ends at the first fault.
#include "gm/journal/journal_reader.hpp"

namespace gm {

Failure JournalReader::open(const std::string& folder, bool checks_chain) {
    block_ = {};
    given_ = 0;
    failure_ = walker_.open({folder, checks_chain, false});
    return failure_;
}

bool JournalReader::load_block() {
    block_ = {};
    given_ = 0;
    if (!failure_.is_ok()) return false;
    switch (walker_.next()) {
        case BlockWalker::Step::kBlock: block_ = walker_.records(); return true;
        case BlockWalker::Step::kFault:
            failure_ = fail(Status::kJournalCorrupt, walker_.fault().text);
            return false;
        case BlockWalker::Step::kFailed: failure_ = walker_.failure(); return false;
        case BlockWalker::Step::kEnd: return false;
    }
    return false;
}

}  // namespace gm
