#include "tests/conformance/requirements.h"

#include <cctype>
#include <charconv>

namespace orrery::conformance {
namespace {

struct Requirement {
  std::string_view suite;
  std::string_view fact;  // Empty: every fact of the suite.
  KernelVersion version;
  // What came with it: the operation or the flag.
};

constexpr Requirement kRequirements[] = {
    {"ZeroCopy", "Z5", {6, 2}},            // IORING_SEND_ZC_REPORT_USAGE
    {"BigCompletions", "", {6, 18}},       // IORING_SETUP_CQE_MIXED, IORING_NOP_CQE32
    {"RingMessages", "G1", {6, 3}},        // IORING_MSG_RING_FLAGS_PASS
    {"RingMessages", "G7", {6, 13}},       // IORING_REGISTER_SEND_MSG_RING
    {"Timeouts", "K6", {6, 4}},            // IORING_TIMEOUT_MULTISHOT
    {"MultishotRead", "", {6, 7}},         // IORING_OP_READ_MULTISHOT
    {"ProvidedBuffers", "B11", {6, 8}},    // IORING_REGISTER_PBUF_STATUS
    {"Rings", "S4", {6, 18}},              // IORING_SETUP_CQE_MIXED
    {"Rings", "S5", {6, 6}},               // IORING_SETUP_NO_SQARRAY
    {"Rings", "S6", {6, 3}},               // the thread that enables a ring owns it
    {"MinimumWait", "", {6, 12}},          // a minimum wait
    {"Files", "Y10", {6, 9}},              // IORING_OP_FTRUNCATE
    {"Bundles", "", {6, 10}},              // IORING_RECVSEND_BUNDLE
    {"SendBuffers", "", {6, 10}},          // the same, and buffer selection of a send
    {"Datagrams", "", {6, 11}},            // IORING_OP_BIND
    {"Sockets", "A14", {6, 11}},           // IORING_OP_BIND, IORING_OP_LISTEN
    {"Incremental", "", {6, 12}},          // IOU_PBUF_RING_INC
    {"FixedBuffers", "H3", {6, 15}},       // IORING_OP_READV_FIXED, IORING_OP_WRITEV_FIXED
    {"FixedBuffers", "T11", {6, 17}},      // IORING_SEND_VECTORIZED
    {"Pipes", "", {6, 16}},                // IORING_OP_PIPE
    {"MultishotReceive", "M10", {6, 18}},  // a length and a total of a multishot receive
};

bool IsDigit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }

}  // namespace

std::string KernelVersion::ToString() const {
  return std::to_string(major) + "." + std::to_string(minor);
}

std::optional<KernelVersion> ParseVersion(std::string_view text) {
  KernelVersion version;
  const char* const end = text.data() + text.size();
  const auto major = std::from_chars(text.data(), end, version.major);
  if (major.ec != std::errc{} || major.ptr == end || *major.ptr != '.') return std::nullopt;
  const auto minor = std::from_chars(major.ptr + 1, end, version.minor);
  if (minor.ec != std::errc{}) return std::nullopt;
  return version;
}

std::string_view FactOf(std::string_view test_name) {
  const std::string_view id = test_name.substr(0, test_name.find('_'));
  if (id.size() == test_name.size() || id.size() < 2) return {};
  if (std::isupper(static_cast<unsigned char>(id.front())) == 0 || !IsDigit(id[1])) return {};
  size_t digits = 1;
  while (digits < id.size() && IsDigit(id[digits])) ++digits;
  const bool suffix = digits + 1 == id.size() && id.back() >= 'a' && id.back() <= 'z';
  return digits == id.size() || suffix ? id : std::string_view();
}

std::optional<KernelVersion> NeededFor(std::string_view suite, std::string_view fact) {
  for (const Requirement& requirement : kRequirements) {
    if (requirement.suite != suite) continue;
    if (requirement.fact.empty() || requirement.fact == fact) return requirement.version;
  }
  return std::nullopt;
}

}  // namespace orrery::conformance
