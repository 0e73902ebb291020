// Statements of many callers in one transaction.
#pragma once

#include "gateway/database_pool.hpp"
#include "gateway/joined_work.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace holdfast::gateway {

// A statement that may share a transaction; it must be repeatable. What it names lives until it has
// run. Parameter `marked` is sent as "true" when it does share one.
struct GroupItem {
  const Statement& statement;
  const Parameters& parameters;
  const std::string& organization_id;
  const std::string& subject; // whose budgets it moves: the workflow, a slash, who else
  std::optional<std::size_t> marked;
};

// What became of a group. Without rows nothing of it is certain, and each item is to be run by
// itself; `blamed` is the one that undid the others.
struct GroupResult {
  std::optional<std::vector<Rows>> rows;
  std::optional<std::size_t> blamed;
};

// Group commit: while one group is in the database, what arrives waits, and the next group takes it
// all, in one round trip and one commit. Alone, a statement waits for nobody. Each has its own
// outcome. Safe for use by many threads, one of which runs each group.
//
// A transaction keeps what it locks until it ends, so two could wait for each other. Budgets are of
// one organization; each organization has one lane, a group is in the order of its organizations,
// and of one organization it has only statements that lock the same: with the same subject or,
// where the organization is known to have no budgets but its month's and its workflows', for the
// same workflow. So after the first it locks nothing that another would hold while it waits for
// this one. What does not fit runs by itself; so does for a while what comes of an organization
// whose locks kept others waiting.
class GroupCommit {
public:
  using Clock = std::chrono::steady_clock;
  // Runs a group on the lane's connection. What it throws is every item's outcome.
  using Together =
      std::function<GroupResult(std::size_t lane, const std::vector<const GroupItem*>& items)>;
  using Alone = std::function<Rows(const GroupItem&)>;

  static constexpr std::size_t kLanes = 2;

  GroupCommit(Together together, Alone alone);
  GroupCommit(const GroupCommit&) = delete;
  GroupCommit& operator=(const GroupCommit&) = delete;

  // Runs one statement, with others or alone; throws what it came to.
  Rows run(const GroupItem& item);

  // What the database has said of an organization; until then it is taken to have them.
  void learn(const std::string& organization_id, bool has_scoped_budgets);

  // For a while this organization's statements share no transaction.
  void keep_apart(const std::string& organization_id);

  // How many wait for a group.
  std::size_t waiting() const;

private:
  // Nothing: it is to be run by itself.
  using Lane = JoinedWork<GroupItem, std::optional<Rows>>;
  // What an organization has in its lane.
  struct Inside {
    std::string locks; // the subject or workflow of all of it
    std::size_t items = 0;
  };
  class Place;

  std::size_t lane_of(const std::string& organization_id) const;
  std::vector<Lane::Outcome> run_group(std::size_t lane,
                                       const std::vector<const GroupItem*>& items);

  Together together_;
  Alone alone_;
  std::array<std::unique_ptr<Lane>, kLanes> lanes_;
  std::mutex mutex_;
  std::unordered_map<std::string, Inside> inside_;
  std::unordered_map<std::string, Clock::time_point> apart_; // until when
  std::unordered_set<std::string> without_scoped_;           // organizations
};

// The connections on which batches run, one for each lane, used by one thread at a time.
class GroupConnections {
public:
  explicit GroupConnections(DatabasePool& pool) : pool_(pool) {}
  GroupResult run(std::size_t lane, const std::vector<const GroupItem*>& items);

private:
  Connection& usable(std::size_t lane);

  DatabasePool& pool_;
  std::array<std::unique_ptr<Connection>, GroupCommit::kLanes> connections_;
};

} // namespace holdfast::gateway
