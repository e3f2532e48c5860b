// What a program counts, by name, for people and for Prometheus.
//
// A metric is read when somebody asks; the registry holds no values. Filled by one thread before it
// is read; read by any thread, where what the metrics read may be read by any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/owned_count.h"
#include "base/time_histogram.h"
#include "base/units.h"

namespace orrery {

class Metrics {
 public:
  using Read = std::function<uint64_t()>;

  // A count since the start. Prometheus wants its name to end with "_total".
  void AddCounter(std::string name, std::string help, Read read) {
    Add({.name = std::move(name),
         .help = std::move(help),
         .type = "counter",
         .read = std::move(read)});
  }
  // What is so now.
  void AddGauge(std::string name, std::string help, Read read) {
    Add({.name = std::move(name),
         .help = std::move(help),
         .type = "gauge",
         .read = std::move(read)});
  }

  // Times, in nanoseconds. `times` outlives this.
  void AddHistogram(std::string name, std::string help,
                    const BasicTimeHistogram<OwnedCount>& times) {
    Add({.name = std::move(name), .help = std::move(help), .type = "histogram", .times = &times});
  }

  // The text exposition format, in the order in which they were added.
  std::string PrometheusText() const {
    std::string text;
    for (const Metric& metric : metrics_) {
      text += "# HELP " + metric.name + " " + metric.help + "\n";
      text += "# TYPE " + metric.name + " " + metric.type + "\n";
      if (metric.times != nullptr) {
        text += HistogramText(metric.name, *metric.times);
      } else {
        text += metric.name + " " + std::to_string(metric.read()) + "\n";
      }
    }
    return text;
  }

 private:
  struct Metric {
    std::string name;
    std::string help;
    const char* type;
    Read read = {};
    const BasicTimeHistogram<OwnedCount>* times = nullptr;  // Of a histogram, instead.
  };

  static std::string HistogramText(const std::string& name,
                                   const BasicTimeHistogram<OwnedCount>& times) {
    // Limits double from a quarter of a microsecond to a second.
    constexpr Nanoseconds kFirst = Nanoseconds{1} << 8;
    constexpr Nanoseconds kLast = Nanoseconds{1} << 30;
    std::string text;
    const auto bucket = [&](const std::string& limit, uint64_t count) {
      text += name + "_bucket{le=\"" + limit + "\"} " + std::to_string(count) + "\n";
    };
    for (Nanoseconds limit = kFirst; limit <= kLast; limit *= 2) {
      bucket(std::to_string(limit - 1), times.CountUpTo(limit - 1));
    }
    const uint64_t count = times.count();
    bucket("+Inf", count);
    text += name + "_sum " + std::to_string(times.sum()) + "\n";
    text += name + "_count " + std::to_string(count) + "\n";
    return text;
  }

  void Add(Metric metric) {
    for (const Metric& other : metrics_) {
      ORRERY_CHECK_MSG(other.name != metric.name, "two metrics of one name");
    }
    // The format escapes these; nobody's help needs them.
    ORRERY_CHECK(metric.help.find_first_of("\\\n") == std::string::npos);
    metrics_.push_back(std::move(metric));
  }

  std::vector<Metric> metrics_;
};

}  // namespace orrery
