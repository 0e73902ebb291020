#include "extension/core/run_definition.hpp"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

RunDefinition parse(const std::string& json) {
  RunLimits limits;
  limits.delivers = true;
  return parse_definition(json, limits);
}

std::string with_steps(const std::string& steps, const std::string& more = "") {
  return R"({"name": "w", "steps": [)" + steps + "]" + more + "}";
}

// The detail and message of the error, or "none".
std::string fault_of(const std::string& json) {
  try {
    parse(json);
  } catch (const Error& error) {
    EXPECT_EQ(error.sqlstate(), "PT422") << error.message();
    return error.detail();
  }
  return "none";
}

std::string fault(const char* step, const char* kind) {
  return std::string("{") + (*step ? std::string("\"step\": \"") + step + "\", " : "") +
         "\"fault\": \"" + kind + "\"}";
}

TEST(RunDefinition, NamesTheStepAndTheFault) {
  const std::string a = R"({"id": "a", "input": {"prompt": "x"})";
  const struct {
    std::string json;
    const char* step;
    const char* kind;
  } cases[] = {
      {"[]", "", "bad_value"},
      {"{", "", "bad_value"},
      {R"({"steps": []})", "", "missing"},
      {R"({"name": "w"})", "", "missing"},
      {with_steps(""), "", "limit"},
      {with_steps("1"), "", "bad_value"},
      {R"({"name": "w", "step": [], "steps": []})", "", "unknown_member"},
      {with_steps(R"({"id": "a-b", "input": {"prompt": "x"}})"), "a-b", "bad_name"},
      {with_steps(R"({"input": {"prompt": "x"}})"), "", "bad_name"},
      {with_steps(R"({"id": "input", "input": {"prompt": "x"}})"), "input", "bad_name"},
      {with_steps(a + "}," + a + "}"), "a", "duplicate"},
      {with_steps(a + R"(, "onSucess": "b"})"), "a", "unknown_member"},
      {with_steps(a + R"(, "onSuccess": "b"})"), "a", "unknown_target"},
      {with_steps(a + R"(, "onFailure": ["a", 3]})"), "a", "unknown_target"},
      {with_steps(a + R"(, "onSuccess": []})"), "a", "bad_value"},
      {with_steps(a + R"(, "onSuccess": "a"})"), "a", "cycle"},
      {with_steps(a + R"(, "action": "shell"})"), "a", "unknown_action"},
      {with_steps(a + R"(, "action": "template"})"), "a", "unknown_member"},
      {with_steps(a + R"(, "provider": "Open AI"})"), "a", "bad_name"},
      {with_steps(a + R"(, "retry": {"maxAttempts": 6}})"), "a", "limit"},
      {with_steps(a + R"(, "retry": {"maxAttempts": 1.5}})"), "a", "bad_value"},
      {with_steps(a + R"(, "condition": "{{a.output}} ="})"), "a", "bad_condition"},
      {with_steps(a + R"(, "condition": ""})"), "a", "bad_condition"},
      {with_steps(a + R"(, "condition": "{{b.output}}"})"), "a", "unknown_variable"},
      {with_steps(a + R"(, "approval": "yes"})"), "a", "bad_value"},
      {with_steps(a + R"(, "variants": []})"), "a", "limit"},
      {with_steps(a + R"(, "variants": [{"id": "p"}, {"id": "p"}]})"), "a", "duplicate"},
      {with_steps(a + R"(, "variants": [{"id": "p", "input": {"prompt": "{{q.output}}"}}]})"), "a",
       "unknown_variable"},
      {with_steps(a + R"(, "schema": true})"), "a", "bad_value"},
      {with_steps(a + R"(, "schema": {"type": "list"}})"), "a", "bad_schema"},
      {with_steps(R"({"id": "a", "action": "template", "input": {"template": "x"}, "schema": {}})"),
       "a", "bad_value"},
      {with_steps(R"({"id": "a", "action": "deliver", "input": {"document": "x"}})"), "a",
       "bad_value"},
      {with_steps(
           R"({"id": "a", "action": "deliver", "input": {"document": {"b": "{{c.output}}"}}})"),
       "a", "unknown_variable"},
      {with_steps(R"({"id": "a"})"), "a", "missing"},
      {with_steps(R"({"id": "a", "input": {"prompt": "{{b.output}}"}})"), "a", "unknown_variable"},
      {with_steps(R"({"id": "a", "input": {"prompt": "{{a.output}}"}})"), "a", "cycle"},
      {with_steps(R"({"id": "a", "input": {"prompt": "{{input}}"}})"), "a", "unknown_variable"},
      {with_steps(R"({"id": "a", "input": {"prompt": "{{input.a-b}}"}})"), "a", "bad_name"},
      {with_steps(R"({"id": "a", "input": {"prompt": "{{input.}}"}})"), "a", "bad_name"},
      {with_steps(R"({"id": "a", "input": {"prompt": "{{input.a"}})"), "a", "bad_name"},
      {with_steps(R"({"id": "a", "input": {"prompt": "{{__proto__.output}}"}})"), "a",
       "unknown_variable"},
      {with_steps(R"({"id": "a", "input": {"prompt": "{{input.x}}"}})", R"(, "inputs": ["y"])"),
       "a", "unknown_variable"},
      {with_steps(R"({"id": "a", "input": {"prompt": "x", "maxTokens": 10001}})"), "a", "limit"},
      {with_steps(R"({"id": "a", "input": {"prompt": "x", "temperature": 2.1}})"), "a", "limit"},
      {with_steps(a + "}", R"(, "settings": {"maxTotalCost": 1.01})"), "", "limit"},
      {with_steps(a + "}", R"(, "settings": {"maxTotalCost": -1})"), "", "limit"},
      {with_steps(a + "}", R"(, "settings": {"timeout": 300001})"), "", "limit"},
      {with_steps(a + "}", R"(, "settings": {"maxSteps": 21})"), "", "limit"},
      {with_steps(a + R"(, "onSuccess": "b"}, {"id": "b", "input": {"prompt": "x"}})",
                  R"(, "settings": {"maxSteps": 1})"),
       "", "limit"},
      {with_steps(R"({"id": "a", "input": {"prompt": "{{c.output}}"}}, )"
                  R"({"id": "b", "input": {"prompt": "x"}, "onFailure": "c"}, )"
                  R"({"id": "c", "input": {"prompt": "x"}, "onSuccess": "b"})"),
       "a", "cycle"},
      {std::string(300'000, ' ') + "{}", "", "limit"},
  };
  for (const auto& each : cases)
    EXPECT_EQ(fault_of(each.json), fault(each.step, each.kind)) << each.json.substr(0, 200);
}

TEST(RunDefinition, CostsNothingWithoutACall) {
  const std::string local = R"({"id": "a", "action": "template", "input": {"template": "x"}})";
  EXPECT_EQ(parse(with_steps(local)).most_cost, Usd());
  EXPECT_EQ(parse(with_steps(local, R"(, "settings": {"maxTotalCost": 0.5})")).most_cost, Usd());
  EXPECT_EQ(parse(with_steps(local + R"(, {"id": "b", "input": {"prompt": "x"}})")).most_cost,
            Usd::whole(1));
}

TEST(RunDefinition, DeliversOnlyWhereItMay) {
  const std::string json =
      with_steps(R"({"id": "a", "action": "deliver", "input": {"document": {}}})");
  EXPECT_EQ(parse(json).steps.size(), 1u);
  try {
    parse_definition(json, RunLimits());
    FAIL() << "a definition of a tenant delivers";
  } catch (const Error& error) {
    EXPECT_EQ(error.detail(), fault("a", "unknown_action"));
  }
}

TEST(RunDefinition, HasAtMostTwentySteps) {
  std::string steps;
  for (int i = 0; i < 20; ++i)
    steps +=
        (i ? "," : "") + (R"({"id": "s)" + std::to_string(i) + R"(", "input": {"prompt": "x"}})");
  EXPECT_EQ(parse(with_steps(steps)).steps.size(), 20u);
  EXPECT_EQ(fault_of(with_steps(steps + R"(,{"id": "t", "input": {"prompt": "x"}})")),
            fault("", "limit"));
  RunLimits raised;
  raised.steps = 21;
  EXPECT_EQ(
      parse_definition(with_steps(steps + R"(,{"id": "t", "input": {"prompt": "x"}})"), raised)
          .steps.size(),
      21u);
}

TEST(RunDefinition, ReadsWhatItSays) {
  const RunDefinition definition = parse(R"({"name": "w", "version": 2, "steps": [
    {"id": "a", "provider": "openai", "model": "gpt-4o", "input": {"prompt": "{{input.user.name}}"},
     "onSuccess": ["b", "c"], "onFailure": "continue", "retry": {"maxAttempts": 3, "delayMs": 50},
     "cache": true, "approval": true, "schema": {"type": "object"}},
    {"id": "b", "input": {"prompt": "x"}, "cache": true, "onSuccess": "end"},
    {"id": "c", "input": {"prompt": "{{a.output}} {{ a.output.title }}"}}],
    "settings": {"maxTotalCost": 0.25, "timeout": 1000}})");
  EXPECT_EQ(definition.version, "2");
  EXPECT_EQ(definition.most_cost.str(), "0.25");
  EXPECT_EQ(definition.timeout_ms, 1000);
  EXPECT_EQ(definition.approvals(), 1);
  const RunStep& a = definition.steps[0];
  EXPECT_EQ(a.on_success, (std::vector<int>{1, 2}));
  EXPECT_TRUE(a.continues_on_failure);
  EXPECT_EQ(a.most_attempts, 3);
  EXPECT_EQ(a.delay_ms, 50);
  EXPECT_TRUE(a.cache);
  ASSERT_TRUE(a.schema);
  EXPECT_EQ(a.schema->str(), R"({"type":"object"})");
  EXPECT_TRUE(definition.steps[1].on_success.empty());
  EXPECT_EQ(definition.steps[2].reads, std::vector<int>{0});
  ASSERT_EQ(definition.inputs.size(), 1u);
  EXPECT_NO_THROW(check_input(definition, *JsonValue::parse(R"({"user": {"name": ""}})")));
  EXPECT_THROW(check_input(definition, *JsonValue::parse(R"({"user": {}})")), Error);
}

TEST(RunDefinition, CanTurnCachingOff) {
  EXPECT_FALSE(parse(with_steps(R"({"id": "a", "cache": true, "input": {"prompt": "x"}})",
                                R"(, "settings": {"enableCaching": false})"))
                   .steps[0]
                   .cache);
}

} // namespace
} // namespace holdfast
