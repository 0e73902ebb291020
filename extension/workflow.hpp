#pragma once

#include "extension/core/uuid.hpp"
#include "extension/workflow_graph.hpp"

// Workflows' states and who works on them. Everything here needs a pg::Spi.
namespace holdfast::workflow {

// Registers the callbacks by which changed tables reach every server process.
void start();

// Keeps every graph that is in use as it is until the transaction ends.
void lock_workflows();

// One transition that is wanted.
struct Move {
  Uuid workflow_id;
  Uuid organization_id;
  std::string expected;
  std::string next;
  std::optional<std::string> actor;
  std::optional<std::string> reason;
  std::optional<std::string> correlation_id;
  std::optional<Datum> patch;  // jsonb object
  std::optional<Datum> result; // jsonb
  std::optional<std::int64_t> fence;
  std::optional<std::int64_t> lease_us; // of the lease that begins; absent: as the graph says
  bool is_takeover = false;             // the state stays, the worker changes
};

struct Moved {
  std::shared_ptr<const Graph> graph;
  const State* state = nullptr; // of the graph
  std::int64_t fence = 0;
  std::int32_t attempt = 0; // 0 where the state is no work
  TimestampTz expires_at = 0;
};

// Makes the transition with its history row and its lease, or throws Error PT404 or PT409.
Moved advance(const Move& move);

} // namespace holdfast::workflow
