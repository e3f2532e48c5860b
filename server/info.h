// The text of INFO, in Redis's sections and fields as far as they mean something here.
#pragma once

#include <span>
#include <string>

#include "server/server_context.h"
#include "server/shard_figures.h"

namespace orrery::server {

// The sections named, in Redis's order and each once. "all" and "everything" name all of them,
// "default" and no name those but for the statistics of commands. An unknown name adds nothing.
// `server` is the shard that replies, `all` what all of them count.
std::string InfoText(ServerContext& server, const ShardFigures& all,
                     std::span<const std::string> sections);

}  // namespace orrery::server
