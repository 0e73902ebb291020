#include "gateway/database_group.hpp"

#include <algorithm>
#include <future>
#include <gtest/gtest.h>
#include <list>
#include <thread>

namespace holdfast::gateway {
namespace {

constexpr Statement kStatement{"test", "", true};

using Names = std::vector<std::string>;

// One caller's statement, told by its name.
struct Call {
  Call(std::string organization, const std::string& name, std::string whose = "s")
      : organization_id(std::move(organization)), subject(std::move(whose)), parameters({name}) {}
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  std::string organization_id;
  std::string subject;
  Parameters parameters;
  GroupItem item{kStatement, parameters, organization_id, subject, std::nullopt};
};

// A lane that is taken by the item "busy" until release(); then what was added meanwhile runs.
class Bench {
public:
  explicit Bench(std::string organization = "busy")
      : queue_([this](std::size_t, const auto& items) { return together(items); },
               [this](const GroupItem& item) { return alone(item); }),
        lane_(std::move(organization)) {
    start({lane_, "busy"});
    busy_.get_future().wait();
  }

  // An organization in the lane that is taken.
  std::string organization(char letter) const {
    std::string name(1, letter);
    const auto lane = [](const std::string& id) {
      return std::hash<std::string>()(id) % GroupCommit::kLanes;
    };
    while (lane(name) != lane(lane_))
      name += letter;
    return name;
  }

  // Returns once it waits in the queue.
  void add(const Call& call) {
    const std::size_t before = queue_.waiting();
    start(call);
    while (queue_.waiting() == before)
      std::this_thread::yield();
  }

  void learn(const std::string& organization_id, bool has_scoped_budgets) {
    queue_.learn(organization_id, has_scoped_budgets);
  }

  // Returns once it has run by itself.
  void run_at_once(const Call& call) { queue_.run(call.item); }

  void release() {
    released_.set_value();
    for (std::thread& client : clients_)
      client.join();
    std::sort(alone_.begin(), alone_.end());
  }

  std::vector<Names> groups_;
  Names alone_;
  Names failed_;
  std::optional<std::size_t> blamed_;
  bool is_away_ = false;

private:
  void start(const Call& call) {
    const Call& mine = calls_.emplace_back(call.organization_id, name_of(call.item), call.subject);
    clients_.emplace_back([this, &mine] {
      try {
        queue_.run(mine.item);
      } catch (const std::runtime_error&) {
        const std::lock_guard<std::mutex> lock(mutex_);
        failed_.push_back(name_of(mine.item));
      }
    });
  }

  static std::string name_of(const GroupItem& item) { return item.parameters.front().value(); }

  GroupResult together(const std::vector<const GroupItem*>& items) {
    Names names;
    std::vector<Rows> rows;
    for (const GroupItem* item : items) {
      names.push_back(name_of(*item));
      rows.emplace_back(ResultPtr(nullptr, &PQclear));
    }
    if (names == Names{"busy"}) {
      busy_.set_value();
      released_.get_future().wait();
      return {std::move(rows), std::nullopt};
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    groups_.push_back(names);
    if (is_away_) throw std::runtime_error("away");
    if (blamed_) return {std::nullopt, blamed_};
    return {std::move(rows), std::nullopt};
  }

  Rows alone(const GroupItem& item) {
    const std::lock_guard<std::mutex> lock(mutex_);
    alone_.push_back(name_of(item));
    if (name_of(item) == "bad") throw std::runtime_error("refused");
    return Rows(ResultPtr(nullptr, &PQclear));
  }

  std::mutex mutex_;
  std::promise<void> busy_;
  std::promise<void> released_;
  GroupCommit queue_;
  std::string lane_;
  std::list<Call> calls_;
  std::vector<std::thread> clients_;
};

TEST(GroupCommitTest, WhatArrivesMeanwhileGoesTogetherOrderedByOrganization) {
  Bench bench;
  const std::string a = bench.organization('a');
  const std::string b = bench.organization('b');
  bench.add({b, "b1"});
  bench.add({a, "a1"});
  bench.add({b, "b2"});
  bench.add({a, "a2"});
  bench.release();
  EXPECT_EQ(bench.groups_, (std::vector<Names>{{"a1", "a2", "b1", "b2"}}));
  EXPECT_EQ(bench.alone_, Names{});
}

TEST(GroupCommitTest, AGroupHasAtMost48) {
  Bench bench;
  for (int i = 0; i < 50; ++i)
    bench.add({bench.organization('a'), std::to_string(i)});
  bench.release();
  ASSERT_EQ(bench.groups_.size(), 2U);
  EXPECT_EQ(bench.groups_[0].size(), 48U);
  EXPECT_EQ(bench.groups_[1], (Names{"48", "49"}));
}

TEST(GroupCommitTest, AnotherSubjectOfAnOrganizationThatWaitsRunsByItself) {
  Bench bench;
  const std::string a = bench.organization('a');
  bench.add({a, "ada1", "ada"});
  bench.run_at_once({a, "bob1", "bob"});
  EXPECT_EQ(bench.alone_, Names{"bob1"});
  bench.add({a, "ada2", "ada"});
  bench.release();
  EXPECT_EQ(bench.groups_, (std::vector<Names>{{"ada1", "ada2"}}));
}

TEST(GroupCommitTest, AllOfAWorkflowGoTogetherWhereUsersHaveNoBudgets) {
  Bench bench;
  const std::string a = bench.organization('a');
  bench.learn(a, false);
  bench.add({a, "ada", "w/ada"});
  bench.add({a, "bob", "w/bob"});
  bench.run_at_once({a, "another workflow", "v/ada"});
  bench.run_at_once({a, "no workflow", "/ada"});
  bench.learn(a, true); // they have some now
  bench.run_at_once({a, "later", "w/ada"});
  bench.release();
  EXPECT_EQ(bench.groups_, (std::vector<Names>{{"ada", "bob"}}));
  EXPECT_EQ(bench.alone_, (Names{"another workflow", "later", "no workflow"}));
}

TEST(GroupCommitTest, AnotherSubjectOfAnOrganizationThatIsAtWorkRunsByItself) {
  Bench bench("a");
  bench.run_at_once({"a", "bob1", "bob"});
  EXPECT_EQ(bench.alone_, Names{"bob1"});
  bench.release();
}

TEST(GroupCommitTest, WhenAGroupFailsEachHasItsOwnOutcomeAndTheBlamedStaysApart) {
  Bench bench;
  const std::string b = bench.organization('b');
  bench.blamed_ = 1;
  bench.add({bench.organization('a'), "good1"});
  bench.add({b, "bad"});
  bench.add({bench.organization('c'), "good2"});
  bench.release();
  EXPECT_EQ(bench.groups_, (std::vector<Names>{{"good1", "bad", "good2"}}));
  EXPECT_EQ(bench.alone_, (Names{"bad", "good1", "good2"}));
  EXPECT_EQ(bench.failed_, Names{"bad"});
  bench.run_at_once({b, "later"});
  EXPECT_EQ(bench.groups_.size(), 1U);
  EXPECT_EQ(bench.alone_.back(), "later");
}

TEST(GroupCommitTest, WithoutAConnectionAllAreTold) {
  Bench bench;
  bench.is_away_ = true;
  bench.add({bench.organization('a'), "a1"});
  bench.add({bench.organization('b'), "b1"});
  bench.release();
  std::sort(bench.failed_.begin(), bench.failed_.end());
  EXPECT_EQ(bench.failed_, (Names{"a1", "b1"}));
  EXPECT_EQ(bench.alone_, Names{});
}

} // namespace
} // namespace holdfast::gateway
