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

  // The text exposition format, in the order in which they were added.
  std::string PrometheusText() const {
    std::string text;
    for (const Metric& metric : metrics_) {
      text += "# HELP " + metric.name + " " + metric.help + "\n";
      text += "# TYPE " + metric.name + " " + metric.type + "\n";
      text += metric.name + " " + std::to_string(metric.read()) + "\n";
    }
    return text;
  }

 private:
  struct Metric {
    std::string name;
    std::string help;
    const char* type;
    Read read;
  };

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
