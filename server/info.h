// The text of INFO, in Redis's sections and fields as far as they mean something here.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "server/server_context.h"

namespace orrery::server {

// The sections named, in Redis's order and each once; with none named, or "default", "all" or
// "everything", all of them. An unknown name adds nothing.
std::string InfoText(const ServerContext& server, std::span<const std::string_view> sections);

}  // namespace orrery::server
