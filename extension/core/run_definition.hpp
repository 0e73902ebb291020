#pragma once

#include "extension/core/condition.hpp"
#include "extension/core/error.hpp"
#include "extension/core/json_schema.hpp"
#include "extension/core/json_value.hpp"
#include "extension/core/usd.hpp"

#include <cstdint>

namespace holdfast {

// What no definition may exceed; settings in a definition only lower it.
struct RunLimits {
  int steps = 20;
  Usd cost = Usd::whole(1);
  std::int64_t timeout_ms = 300'000;
  int attempts = 5;      // of one step
  int tokens = 10'000;   // of one step's answer
  bool delivers = false; // whether steps may hand documents to the operator's webhook
};

// One of several ways to do a step, drawn by weight.
struct RunVariant {
  std::string id;
  int weight = 1;
  std::optional<std::string> provider;
  std::optional<std::string> model;
  JsonValue input; // members that replace those of the step's own input
};

// Who stands in for the provider of a step: without a provider, the cheapest that has the model;
// without a model, the provider's standard one.
struct RunFallback {
  std::optional<std::string> provider;
  std::optional<std::string> model;
};

struct RunStep {
  std::string id;
  std::string action;
  std::optional<std::string> provider;
  std::optional<std::string> model;
  JsonValue input;
  Condition condition;
  std::vector<int> on_success; // steps, by their position
  std::vector<int> on_failure;
  bool continues_on_failure = false;
  int most_attempts = 1;
  std::int64_t delay_ms = 1000; // before the second attempt; doubled for each one after
  bool cache = false;
  bool approval = false;
  std::vector<RunVariant> variants;
  std::vector<RunFallback> fallbacks; // asked in this order
  std::optional<JsonSchema> schema;   // what its answer has to fit
  std::vector<int> reads;             // steps whose output it uses

  bool calls_provider() const { return action == "generate"; }
  bool delivers() const { return action == "deliver"; }
  bool needs_worker() const { return calls_provider() || delivers(); }
};

// The input of a step as one of its variants has it.
JsonValue input_of(const RunStep& step, const std::string& variant);

// A workflow of steps, checked.
struct RunDefinition {
  std::string name;
  std::string version;
  std::vector<RunStep> steps;
  Usd most_cost;
  std::int64_t timeout_ms = 0;
  int most_tokens = 0;                    // of one step's answer, where the step names none
  std::vector<TextTemplate::Name> inputs; // every {{input.name}} that a step uses

  int approvals() const;
};

// Reads a definition. Throws Error PT422 whose detail names the step and the fault.
RunDefinition parse_definition(std::string_view json, const RunLimits& limits);

// Throws Error PT400 naming the first input that a step uses and `input` does not have.
void check_input(const RunDefinition& definition, const JsonValue& input);

// For parse_definition: finds what each step reads; refuses unknown variables and cycles.
void link_steps(RunDefinition& definition, const std::optional<std::vector<std::string>>& declared);

} // namespace holdfast
