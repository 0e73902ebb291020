#pragma once

#include "extension/pg/postgres.hpp"

#include <map>
#include <memory>
#include <optional>
#include <string>

// The graphs that workflows move on, as this server process knows them.
namespace holdfast::workflow {

struct State {
  std::string name;
  std::optional<std::int32_t> step;
  std::string status;
  bool is_terminal = false;
  std::optional<std::int64_t> lease_us; // set where the state is work
  std::int32_t attempts = 1;
  std::map<std::string, std::string>
      next; // states that may follow, each with the transition's kind

  // The state that a transition of this kind leads to, nullptr when there is none.
  const std::string* following(std::string_view kind) const;
};

class Graph {
public:
  std::string name;
  std::string initial;
  bool is_valid = false;
  std::map<std::string, State> states;

  // Throws Error PT422 for a state that is not there.
  const State& state(const std::string& state_name) const;
};

// Registers the callback by which changed graphs reach every server process.
void start_graphs();

// The newest graph of this name; throws Error PT422 when there is none. Needs a pg::Spi.
std::shared_ptr<const Graph> graph(const std::string& name);

} // namespace holdfast::workflow
