// The files of tools/view/page/, as the build found them.
#pragma once

#include <string_view>

namespace orrery::view {

extern const std::string_view kPageHtml;
extern const std::string_view kPageStyle;
// All scripts, in the order in which they need each other.
extern const std::string_view kPageScript;

}  // namespace orrery::view
