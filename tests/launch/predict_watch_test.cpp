// What a prediction shows of how far it is.
#include <gtest/gtest.h>

#include "launch/predict_watch.h"

namespace herd::test {
namespace {

TEST(PredictLine, CountsThisProcessesPaceAndAllAnswers) {
  EXPECT_EQ(predict_line(0, 0, 1000, 0, 0), "  0% 0/1,000 answers  eta ?  0 tok/s");
  EXPECT_EQ(predict_line(200, 100, 1000, 5000, 10), " 30% 300/1,000 answers  eta 1:10  500 tok/s");  // 10 a second, 700 to go
  EXPECT_EQ(predict_line(0, 3, 3, 60, 6), "100% 3/3 answers  eta 0:00  10 tok/s");
  EXPECT_EQ(predict_line(0, 0, 0, 0, 1), "100% 0/0 answers  eta ?  0 tok/s");
}

}  // namespace
}  // namespace herd::test
