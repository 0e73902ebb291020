#include "gateway/database_group.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace holdfast::gateway {
namespace {

// More would keep the first of them waiting, and a subtransaction each costs more beyond 64.
constexpr std::size_t kMostItems = 48;
constexpr std::chrono::seconds kApartFor{1};
constexpr std::size_t kMostApart = 1024;
constexpr std::size_t kMostKnown = 16384;

// A lock that somebody keeps is no reason to keep others waiting: who wants it waits by itself. Far
// less than the server's deadlock_timeout.
constexpr Statement kBriefWaits{"holdfast_brief_waits",
                                "SELECT set_config('lock_timeout', '100ms', false)", true};

std::string workflow_in(const std::string& subject) {
  return subject.substr(0, subject.find('/'));
}

} // namespace

// A statement's place in its organization's lane, where it may have one.
class GroupCommit::Place {
public:
  Place(GroupCommit& group, const GroupItem& item)
      : group_(group), organization_id_(item.organization_id) {
    const std::lock_guard<std::mutex> lock(group_.mutex_);
    const auto apart = group_.apart_.find(organization_id_);
    if (apart != group_.apart_.end()) {
      if (Clock::now() < apart->second) return;
      group_.apart_.erase(apart);
    }
    Inside& inside = group_.inside_[organization_id_];
    const bool has_scoped = group_.without_scoped_.count(organization_id_) == 0;
    const std::string locks = has_scoped ? item.subject : workflow_in(item.subject);
    if (inside.items > 0 && inside.locks != locks) return;
    if (inside.items == 0) inside.locks = locks;
    ++inside.items;
    is_inside_ = true;
  }
  ~Place() {
    if (!is_inside_) return;
    const std::lock_guard<std::mutex> lock(group_.mutex_);
    const auto inside = group_.inside_.find(organization_id_);
    if (--inside->second.items == 0) group_.inside_.erase(inside);
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  explicit operator bool() const { return is_inside_; }

private:
  GroupCommit& group_;
  const std::string& organization_id_;
  bool is_inside_ = false;
};

GroupCommit::GroupCommit(Together together, Alone alone)
    : together_(std::move(together)), alone_(std::move(alone)) {
  for (std::size_t lane = 0; lane < lanes_.size(); ++lane)
    lanes_.at(lane) = std::make_unique<Lane>(
        [this, lane](const auto& items) { return run_group(lane, items); }, 1, kMostItems);
}

std::size_t GroupCommit::lane_of(const std::string& organization_id) const {
  return std::hash<std::string>()(organization_id) % lanes_.size();
}

std::size_t GroupCommit::waiting() const {
  std::size_t count = 0;
  for (const auto& lane : lanes_)
    count += lane->waiting();
  return count;
}

void GroupCommit::learn(const std::string& organization_id, bool has_scoped_budgets) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (has_scoped_budgets) {
    without_scoped_.erase(organization_id);
    return;
  }
  if (without_scoped_.count(organization_id) != 0) return; // as after nearly every call
  if (without_scoped_.size() >= kMostKnown) without_scoped_.clear();
  without_scoped_.insert(organization_id);
}

void GroupCommit::keep_apart(const std::string& organization_id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (apart_.size() >= kMostApart) apart_.clear();
  apart_[organization_id] = Clock::now() + kApartFor;
}

Rows GroupCommit::run(const GroupItem& item) {
  if (const Place place(*this, item); place) {
    std::optional<Rows> rows = lanes_.at(lane_of(item.organization_id))->run(item);
    if (rows) return std::move(*rows);
  } else {
    return alone_(item);
  }
  try {
    return alone_(item);
  } catch (DatabaseUnavailable& away) {
    away.in_doubt = true; // the group may have been committed
    throw;
  }
}

std::vector<GroupCommit::Lane::Outcome>
GroupCommit::run_group(std::size_t lane, const std::vector<const GroupItem*>& items) {
  std::vector<std::size_t> order(items.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return items[a]->organization_id < items[b]->organization_id;
  });
  std::vector<const GroupItem*> sorted;
  for (const std::size_t i : order)
    sorted.push_back(items[i]);
  GroupResult result = together_(lane, sorted);
  if (result.blamed) keep_apart(sorted[*result.blamed]->organization_id);
  std::vector<Lane::Outcome> outcomes(items.size());
  for (std::size_t i = 0; result.rows && i < order.size(); ++i)
    outcomes[order[i]] = std::optional<Rows>(std::move((*result.rows)[i]));
  return outcomes;
}

Connection& GroupConnections::usable(std::size_t lane) {
  std::unique_ptr<Connection>& kept = connections_.at(lane);
  if (kept && kept->is_usable()) return *kept;
  kept = std::make_unique<Connection>(pool_.conninfo(), pool_.deadline());
  bool may_have_run = false;
  kept->prepare(kBriefWaits);
  kept->run(kBriefWaits, {}, may_have_run);
  return *kept;
}

GroupResult GroupConnections::run(std::size_t lane, const std::vector<const GroupItem*>& items) {
  Connection& connection = usable(lane);
  try {
    std::vector<Connection::Order> orders;
    for (const GroupItem* item : items) {
      connection.prepare(item->statement);
      const bool is_marked = items.size() > 1;
      orders.push_back(
          {&item->statement, &item->parameters, is_marked ? item->marked : std::nullopt});
    }
    Connection::Together together = connection.run_together(orders);
    if (!together.error) return {std::move(together.rows), std::nullopt};
    if (items.size() == 1 && !together.error->is_transient()) throw DatabaseError(*together.error);
    return {std::nullopt, together.refused};
  } catch (const DatabaseUnavailable&) {
    return {}; // what became of them is asked one by one
  }
}

} // namespace holdfast::gateway
