#include "sim/signature.h"

#include "base/check.h"

namespace orrery::sim {
namespace {

// The text between `start` and the next line's end, or nothing when `start` does not occur.
std::string_view LineAfter(std::string_view text, std::string_view start) {
  const size_t found = text.find(start);
  if (found == std::string_view::npos) return {};
  const std::string_view rest = text.substr(found + start.size());
  return rest.substr(0, rest.find('\n'));
}

// "file:line: check failed: condition (message)": without the line's number, which moves when the
// file is edited, and without what was compared or said.
std::string SignatureOfCheck(std::string_view errors) {
  constexpr std::string_view kMiddle = ": check failed: ";
  const size_t middle = errors.find(kMiddle);
  if (middle == std::string_view::npos) return {};
  const std::string_view before = errors.substr(0, middle);
  std::string_view place = before.substr(before.rfind('\n') + 1);  // npos + 1 is 0.
  place = place.substr(0, place.rfind(':'));
  std::string_view condition = LineAfter(errors, kMiddle);
  if (condition.ends_with(')')) condition = condition.substr(0, condition.rfind(" ("));
  return "check " + std::string(place) + ": " + std::string(condition);
}

// "SUMMARY: AddressSanitizer: heap-use-after-free runtime/a.cc:12 in F": its kind.
std::string SignatureOfSanitizer(std::string_view errors) {
  std::string_view line = LineAfter(errors, "SUMMARY: AddressSanitizer: ");
  if (!line.empty()) return "asan " + std::string(line.substr(0, line.find(' ')));
  line = LineAfter(errors, "runtime error: ");
  if (line.empty()) return {};
  // Values in the message are numbers: it is cut at the first.
  return "ubsan " + std::string(line.substr(0, line.find_first_of("0123456789")));
}

}  // namespace

std::string SignatureOf(const Violation& violation) {
  return violation.cause.empty() ? violation.invariant
                                 : violation.invariant + "/" + violation.cause;
}

std::string SignatureIn(std::string_view errors) {
  std::string check = SignatureOfCheck(errors);
  return check.empty() ? SignatureOfSanitizer(errors) : check;
}

std::string SignatureOfEnd(const Child& child) {
  ORRERY_CHECK(child.end() != Child::End::kRunning && child.end() != Child::End::kReturned);
  if (child.end() == Child::End::kOutOfTime) return std::string(kHangSignature);
  std::string said = SignatureIn(child.errors());
  if (!said.empty()) return said;
  const char* const how = child.end() == Child::End::kSignalled ? "signal " : "exit ";
  return how + std::to_string(child.code());
}

}  // namespace orrery::sim
