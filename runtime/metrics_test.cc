// A metric that a scraper cannot read, or that two things share, tells nothing when it matters.
#include "runtime/metrics.h"

#include <gtest/gtest.h>

namespace orrery {
namespace {

TEST(Metrics, ReadsAsPrometheusText) {
  uint64_t value = 1;
  Metrics metrics;
  metrics.AddCounter("things_total", "Things so far.", [&value] { return value; });
  metrics.AddGauge("things_now", "Things at this moment.", [] { return uint64_t{7}; });
  value = 5;
  EXPECT_EQ(metrics.PrometheusText(),
            "# HELP things_total Things so far.\n"
            "# TYPE things_total counter\n"
            "things_total 5\n"
            "# HELP things_now Things at this moment.\n"
            "# TYPE things_now gauge\n"
            "things_now 7\n");
}

TEST(MetricsDeathTest, NamesAreUnique) {
  Metrics metrics;
  metrics.AddGauge("things", "Things.", [] { return uint64_t{0}; });
  EXPECT_DEATH(metrics.AddCounter("things", "Others.", [] { return uint64_t{0}; }),
               "two metrics of one name");
}

}  // namespace
}  // namespace orrery
