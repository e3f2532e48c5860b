// Which facts an older kernel cannot show, because what they speak of came later. Pure functions.
//
// Everything else in the list of facts holds wherever a ring in the mode under test can be made
// (deferred: Linux 6.1); whether it really does, an older kernel's own run of the tests says.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace orrery::conformance {

struct KernelVersion {
  unsigned major = 0;
  unsigned minor = 0;
  friend auto operator<=>(const KernelVersion&, const KernelVersion&) = default;
  std::string ToString() const;
};

// Of "6.18" and the like.
std::optional<KernelVersion> ParseVersion(std::string_view text);

// The id of the fact that a test's name begins with, as "T10" of "T10_TooMany/RealPlain"; empty
// when it begins with none.
std::string_view FactOf(std::string_view test_name);

// The version that `fact` of the suite `suite` needs, if it is newer than 6.1.
std::optional<KernelVersion> NeededFor(std::string_view suite, std::string_view fact);

}  // namespace orrery::conformance
