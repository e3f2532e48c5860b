// Configuration files in redis.conf's syntax: reading one, and writing what has changed back into
// it.
//
// A line is a directive and its values, separated by spaces, with the quotes and escapes of Redis's
// command line; '#' begins a comment; "include FILE" stands for the lines of that file. Text in,
// text out: who reads and writes files is config_store.h.
#pragma once

#include <expected>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "server/config.h"

namespace orrery::server {

struct Directive {
  std::string name;
  std::vector<std::string> values;
  std::string origin;  // "orrery.conf, line 12": for errors.
};

// The text of a file; the error is one line for a person.
using FileReader = std::function<std::expected<std::string, std::string>(const std::string& path)>;

// The directives of a file and of those that it includes, in order. The error is one line for a
// person, and says where.
std::expected<std::vector<Directive>, std::string> ReadConfigFile(const std::string& path,
                                                                  const FileReader& read);

// What a directive is to this server.
enum class DirectiveKind : uint8_t {
  kParameter,      // One of ConfigParameters().
  kWithoutEffect,  // One of Redis's that would change nothing here.
  kUnknown,
};
DirectiveKind KindOf(const Directive& directive);

// Sets the parameter. REQUIRES: KindOf() is kParameter. The error is one line for a person, and
// says where.
std::expected<void, std::string> ApplyDirective(const Directive& directive, ServerConfig& config);

// `text` with the lines that make the configuration this one: as Redis, a line that says something
// else is replaced where it stands, what is missing is added at the end unless it is the default,
// and comments and everything else stay.
std::string RewriteConfig(std::string_view text, const ServerConfig& config);

}  // namespace orrery::server
