#include "gateway/idle_connections.hpp"

#include <array>
#include <future>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

namespace holdfast::gateway {
namespace {

using Clock = IdleConnections::Clock;

// A connection: the gateway's side, and the client's.
struct Pair {
  Pair() {
    std::array<int, 2> ends{};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
    served = std::make_shared<ClientSocket>(ends[0], [] { return false; });
    client = ends[1];
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
  ~Pair() { close(client); }

  // Waits until the gateway's side is closed.
  void expect_closed() {
    served.reset();
    char byte = 0;
    EXPECT_EQ(recv(client, &byte, 1, 0), 0);
  }

  std::shared_ptr<ClientSocket> served;
  int client = -1;
};

TEST(IdleConnectionsTest, OneThatSendsIsHandedOver) {
  std::promise<std::shared_ptr<ClientSocket>> woken;
  IdleConnections idle([&](auto client) { woken.set_value(std::move(client)); }, 10);
  const Pair silent;
  const Pair speaking;
  idle.park(silent.served, Clock::now() + std::chrono::hours(1));
  idle.park(speaking.served, Clock::now() + std::chrono::hours(1));
  ASSERT_EQ(send(speaking.client, "G", 1, 0), 1);
  EXPECT_EQ(woken.get_future().get(), speaking.served);
  idle.end(); // before the clients go, which would wake it once more
}

TEST(IdleConnectionsTest, OneWhoseTimeIsOverIsClosed) {
  IdleConnections idle([](auto) {}, 10);
  Pair late;
  idle.park(late.served, Clock::now());
  late.expect_closed();
}

TEST(IdleConnectionsTest, TheNextToEndGivesWayWhenThereAreTooMany) {
  std::promise<std::shared_ptr<ClientSocket>> woken;
  IdleConnections idle([&](auto client) { woken.set_value(std::move(client)); }, 2);
  Pair first;
  const Pair second;
  const Pair third;
  idle.park(first.served, Clock::now() + std::chrono::hours(1));
  idle.park(second.served, Clock::now() + std::chrono::hours(2));
  idle.park(third.served, Clock::now() + std::chrono::hours(2));
  first.expect_closed();
  ASSERT_EQ(send(second.client, "G", 1, 0), 1);
  EXPECT_EQ(woken.get_future().get(), second.served);
  idle.end();
}

TEST(IdleConnectionsTest, EndClosesThemAndWhatComesLater) {
  IdleConnections idle([](auto) {}, 10);
  Pair before;
  idle.park(before.served, Clock::now() + std::chrono::hours(1));
  idle.end();
  before.expect_closed();
  Pair after;
  idle.park(after.served, Clock::now() + std::chrono::hours(1));
  after.expect_closed();
}

} // namespace
} // namespace holdfast::gateway
