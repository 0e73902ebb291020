// The SQL functions on definitions, and the limits that an operator sets for them.
#include "extension/run.hpp"

#include "extension/core/json_object.hpp"
#include "extension/pg/arguments.hpp"
#include "extension/pg/spi.hpp"

namespace holdfast::run {

namespace {

// Written by the server.
int most_steps = 0;
int most_runtime_ms = 0;
int most_retries = 0;
int most_tokens = 0;
char* most_cost = nullptr;

bool is_amount(char** text, void** /*extra*/, GucSource /*source*/) {
  const std::optional<Usd> amount = Usd::parse(*text);
  return amount && *amount >= Usd() && *amount <= Usd::most_given();
}

void define_integer(const char* name, const char* meaning, int* value, int standard, int most) {
  DefineCustomIntVariable(name, meaning, nullptr, value, standard, 1, most, PGC_SUSET, 0, nullptr,
                          nullptr, nullptr);
}

} // namespace

void start() {
  constexpr int kMostSteps = 1000;
  constexpr int kMostRetries = 100;
  constexpr int kMostTokens = 10'000'000;
  define_integer("holdfast.max_workflow_steps", "Most steps of a workflow's definition.",
                 &most_steps, 20, kMostSteps);
  define_integer("holdfast.max_workflow_runtime_ms", "Longest run of a workflow, in milliseconds.",
                 &most_runtime_ms, 300'000, INT32_MAX);
  define_integer("holdfast.max_step_attempts", "Most attempts of one step.", &most_retries, 5,
                 kMostRetries);
  define_integer("holdfast.max_step_tokens", "Most tokens of one step's answer.", &most_tokens,
                 10'000, kMostTokens);
  DefineCustomStringVariable("holdfast.max_workflow_cost", "Most that a run may cost, in USD.",
                             nullptr, &most_cost, "1.00", PGC_SUSET, 0, is_amount, nullptr,
                             nullptr);
}

RunLimits limits() {
  return {most_steps, Usd::parse(most_cost).value(), most_runtime_ms, most_retries, most_tokens,
          false};
}

} // namespace holdfast::run

using namespace holdfast;

HOLDFAST_FUNCTION(holdfast_check_definition) {
  const pg::Arguments arguments(fcinfo);
  const std::string json =
      pg::json_object_text(arguments.required(0, "p_definition"), "p_definition");
  const RunDefinition definition = parse_definition(json, run::limits());
  return pg::ResultRow()
      .text(definition.name)
      .text(definition.version)
      .add_int32(static_cast<std::int32_t>(definition.steps.size()))
      .add(definition.most_cost)
      .add_int32(static_cast<std::int32_t>(definition.timeout_ms))
      .finish(fcinfo);
}
