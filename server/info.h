// The text of INFO, in Redis's sections and fields as far as they mean something here.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "server/server_context.h"

namespace orrery::server {

// The sections named, in Redis's order and each once. "all" and "everything" name all of them,
// "default" and no name those but for the statistics of commands. An unknown name adds nothing.
std::string InfoText(ServerContext& server, std::span<const std::string_view> sections);

}  // namespace orrery::server
