#include "gateway/hold_keeper.hpp"

#include <future>
#include <gtest/gtest.h>

namespace holdfast::gateway {
namespace {

using std::chrono::milliseconds;

TEST(HoldKeeperTest, ExtendsAHoldUntilItIsForgotten) {
  std::promise<std::string> twice;
  int calls = 0;
  HoldKeeper* keeper_of_call = nullptr;
  HoldKeeper keeper(
      [&](const std::string& organization_id, const std::string& hold_id) {
        if (++calls == 2) {
          keeper_of_call->forget(hold_id);
          twice.set_value(organization_id + "/" + hold_id);
        }
        return true;
      },
      milliseconds(4));
  keeper_of_call = &keeper;
  keeper.watch("o", "h");
  EXPECT_EQ(twice.get_future().get(), "o/h");
}

TEST(HoldKeeperTest, TriesAgainWhenExtendingFailed) {
  std::promise<void> again;
  int calls = 0;
  HoldKeeper* keeper_of_call = nullptr;
  HoldKeeper keeper(
      [&](const std::string&, const std::string& hold_id) {
        if (++calls < 2) return false;
        keeper_of_call->forget(hold_id);
        again.set_value();
        return true;
      },
      milliseconds(32));
  keeper_of_call = &keeper;
  keeper.watch("o", "h");
  again.get_future().wait();
  EXPECT_EQ(calls, 2);
}

TEST(HoldKeeperTest, EveryWatchedHoldIsExtended) {
  std::promise<void> all;
  std::map<std::string, int> seen;
  HoldKeeper* keeper_of_call = nullptr;
  HoldKeeper keeper(
      [&](const std::string&, const std::string& hold_id) {
        ++seen[hold_id];
        keeper_of_call->forget(hold_id);
        if (seen.size() == 3) all.set_value();
        return true;
      },
      milliseconds(10));
  keeper_of_call = &keeper;
  for (const char* hold : {"a", "b", "c"})
    keeper.watch("o", hold);
  all.get_future().wait();
  EXPECT_EQ(seen, (std::map<std::string, int>{{"a", 1}, {"b", 1}, {"c", 1}}));
}

} // namespace
} // namespace holdfast::gateway
