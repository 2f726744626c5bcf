// A sanitizer looks for other faults than tests of sheer numbers do, and takes its time.
#pragma once

namespace gm::test {

// So many times less of them is done under one.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr int kLess = 10;
#else
inline constexpr int kLess = 1;
#endif

}  // namespace gm::test
