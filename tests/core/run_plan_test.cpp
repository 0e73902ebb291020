#include "extension/core/run_plan.hpp"

#include <gtest/gtest.h>

#include <map>

namespace holdfast {
namespace {

class Plan {
public:
  explicit Plan(const std::string& steps, const std::string& input = "{}") {
    RunLimits limits;
    limits.delivers = true;
    definition_ = parse_definition(R"({"name": "w", "steps": [)" + steps + "]}", limits);
    run_.definition = &definition_;
    run_.input = JsonValue::parse(input).value();
    run_.steps.resize(definition_.steps.size());
    verdict_ = advance(run_);
  }

  StepState& step(const std::string& id) {
    for (std::size_t i = 0; i < definition_.steps.size(); ++i) {
      if (definition_.steps[i].id == id) return run_.steps[i];
    }
    throw std::logic_error(id);
  }

  void end(const std::string& id, StepStatus status, const std::string& output = "") {
    EXPECT_EQ(step(id).status, StepStatus::ready) << id;
    step(id).status = status;
    step(id).output = output;
    if (status == StepStatus::failed) step(id).error = step_error("server", "broken");
    verdict_ = advance(run_);
  }

  std::string shown() const {
    std::string text;
    for (const StepState& state : run_.steps)
      text += std::string(text.empty() ? "" : " ") + status_name(state.status);
    return text + (verdict_.has_ended ? verdict_.error.empty() ? " | completed" : " | failed" : "");
  }

  const RunState& run() const { return run_; }

private:
  RunDefinition definition_;
  RunState run_;
  RunVerdict verdict_;
};

std::string call(const std::string& id, const std::string& more = "",
                 const std::string& prompt = "x") {
  return R"({"id": ")" + id + R"(", "input": {"prompt": ")" + prompt + R"("})" + more + "}";
}

TEST(RunPlan, RunsIndependentStepsBesideEachOtherAndJoins) {
  Plan plan(call("a") + "," + call("b") + "," + call("c", "", "{{a.output}}{{b.output}}"));
  EXPECT_EQ(plan.shown(), "ready ready pending");
  plan.end("a", StepStatus::completed, "A");
  EXPECT_EQ(plan.shown(), "completed ready pending");
  plan.end("b", StepStatus::completed, "B");
  EXPECT_EQ(plan.shown(), "completed completed ready");
  EXPECT_EQ(render(plan.run(), "{{a.output}}{{b.output}}"), "AB");
  plan.end("c", StepStatus::completed);
  EXPECT_EQ(plan.shown(), "completed completed completed | completed");
}

TEST(RunPlan, FollowsOnFailureOrFails) {
  const std::string steps = call("a", R"(, "onSuccess": "b", "onFailure": "c")") + "," + call("b") +
                            "," + call("c") + "," + call("d", "", "{{b.output}}");
  Plan good(steps);
  good.end("a", StepStatus::completed);
  EXPECT_EQ(good.shown(), "completed ready unreached pending");
  Plan bad(steps);
  bad.end("a", StepStatus::failed);
  EXPECT_EQ(bad.shown(), "failed unreached ready unreached");
  bad.end("c", StepStatus::failed);
  EXPECT_EQ(bad.shown(), "failed unreached failed unreached | failed");
  Plan going_on(call("a", R"(, "onFailure": "continue", "onSuccess": "b")") + "," +
                call("b", "", "{{a.output}}"));
  going_on.end("a", StepStatus::failed);
  EXPECT_EQ(going_on.shown(), "failed ready");
}

TEST(RunPlan, GoesOnBehindAStepThatItsConditionSkips) {
  const std::string steps =
      call("a", R"(, "onSuccess": ["b", "c"])") + "," +
      call("b", R"(, "condition": "{{a.output}} == \"yes\"", "onSuccess": "d")") + "," +
      call("c", R"(, "onSuccess": "d")") + "," + call("d");
  Plan plan(steps);
  plan.end("a", StepStatus::completed, "no");
  EXPECT_EQ(plan.shown(), "completed skipped ready pending");
  plan.end("c", StepStatus::completed);
  EXPECT_EQ(plan.shown(), "completed skipped completed ready");
}

TEST(RunPlan, WaitsForApproval) {
  Plan plan(call("a", R"(, "approval": true)"));
  EXPECT_EQ(plan.shown(), "waiting");
}

TEST(RunPlan, PutsValuesInOnce) {
  Plan plan(call("a", "", "{{input.x}}"),
            R"({"x": "{{input.y}}", "y": "secret", "n": 1.50, "o": {"l": [1, "two"]}, "z": null})");
  EXPECT_EQ(render(plan.run(), "<{{input.x}}>"), "<{{input.y}}>");
  EXPECT_EQ(render(plan.run(), "{{input.n}} {{input.o}} {{input.o.l.1}} {{input.z}}{{input.none}}"),
            R"(1.50 {"l":[1,"two"]} two )");
  plan.end("a", StepStatus::completed, R"({"title": "T"})");
  EXPECT_EQ(render(plan.run(), "{{a.output.title}}|{{a.output.none}}"), "T|");
  EXPECT_EQ(render(plan.run(), std::string(kMostRenderedBytes + 1, 'x')), std::nullopt);
}

TEST(RunPlan, DoesLocalStepsByItself) {
  const struct {
    const char* step;
    const char* output;
    const char* error;
  } cases[] = {
      {R"("action": "template", "input": {"template": "Dear {{input.name}}"})", "Dear Ada", ""},
      {R"("action": "pick", "input": {"from": "{{input.json}}", "path": "list.1.id"})", "7", ""},
      {R"("action": "pick", "input": {"from": "{{input.fenced}}", "path": "a"})", "b", ""},
      {R"("action": "pick", "input": {"from": "{{input.json}}", "path": "none", "default": "d"})",
       "d", ""},
      {R"("action": "pick", "input": {"from": "{{input.json}}", "path": "none"})", "",
       "nothing_there"},
      {R"("action": "pick", "input": {"from": "{{input.name}}", "path": "a"})", "", "not_json"},
      {R"("action": "personalize", "input": {"template": "Hi [[name]] of [[firm]] [[not a name]]", )"
       R"("values": {"name": "{{input.name}}"}, "fallback": "you"})",
       "Hi Ada of you [[not a name]]", ""},
      {R"("action": "theme", "input": {"name": "dark", "fonts": {"body": "Lora"}})",
       R"({"name": "dark", "colors": {"background": "#111827", "text": "#f9fafb", "accent": "#38bdf8"}, )"
       R"("fonts": {"heading": "Arial", "body": "Lora"}})",
       ""},
  };
  for (const auto& each : cases) {
    Plan plan(
        std::string(R"({"id": "a", )") + each.step + "}",
        R"({"name": "Ada", "json": "{\"list\": [0, {\"id\": 7}]}", "fenced": "Here:\n```json\n{\"a\": \"b\"}\n```"})");
    EXPECT_EQ(plan.step("a").output, each.output) << each.step;
    EXPECT_EQ(plan.step("a").error.find(each.error) == std::string::npos, false)
        << plan.step("a").error;
    EXPECT_EQ(plan.step("a").error.empty(), *each.error == '\0') << plan.step("a").error;
  }
}

TEST(RunPlan, LeavesDeliveriesToWorkersWithTheirDocument) {
  Plan plan(call("a") + R"(,{"id": "b", "action": "deliver", "input": {"document": {
      "made": "{{a.output}}", "list": [1, "by {{input.who}}", "{{input.what}}"], "word": "{{a.output.x}}",
      "two": "{{a.output.x}}{{a.output.x}}", "none": "{{a.error}}"}}})",
            R"({"who": "Ann", "what": {"deep": [true]}})");
  EXPECT_EQ(plan.shown(), "ready pending");
  plan.end("a", StepStatus::completed, R"({"x": "{{a.output}}"})");
  EXPECT_EQ(plan.shown(), "completed ready");
  EXPECT_EQ(render_document(plan.run(), plan.run().definition->steps[1]),
            R"({"made":{"x":"{{a.output}}"},"list":[1,"by Ann",{"deep":[true]}],)"
            R"("word":"{{a.output}}","two":"{{a.output}}{{a.output}}","none":""})");
  plan.step("a").output = std::string(300'000, 'x');
  EXPECT_EQ(render_document(plan.run(), plan.run().definition->steps[1]), std::nullopt);
}

TEST(RunPlan, DrawsVariantsByWeightAndTheSameForAKey) {
  Plan plan(call(
      "a", R"(, "variants": [{"id": "p", "weight": 3}, {"id": "q", "input": {"prompt": "y"}}])"));
  const RunDefinition& definition = *plan.run().definition;
  std::map<std::string, int> drawn;
  for (int i = 0; i < 10000; ++i) {
    const std::string key = "user" + std::to_string(i);
    const std::string variant = draw_variant(definition, definition.steps[0], key);
    EXPECT_EQ(variant, draw_variant(definition, definition.steps[0], key));
    ++drawn[variant];
  }
  EXPECT_NEAR(drawn["p"], 7500, 200);
  EXPECT_EQ(drawn["p"] + drawn["q"], 10000);
  EXPECT_EQ(draw_variant(definition, definition.steps[0], "user1"),
            "p"); // the same on every machine
  EXPECT_EQ(input_of(definition.steps[0], "q").find("prompt")->text, "y");
  EXPECT_EQ(input_of(definition.steps[0], "p").find("prompt")->text, "x");
}

TEST(Condition, ComparesNumbersAsNumbersAndTextAsText) {
  const auto holds = [](const std::string& text) {
    return Condition::parse(text).holds([](const TextTemplate::Name& name) -> std::string {
      return name.back() == "ten" ? "10" : name.back() == "text" ? "say \"yes\"" : "";
    });
  };
  for (const char* text :
       {"{{input.ten}} > 9", "{{input.ten}} == 10.0", "{{input.ten}}", "!{{input.none}}",
        "{{input.text}} contains 'yes'", "{{input.text}} contains \"say\" && 1 < 2",
        "(1 == 2 || \"b\" > \"a\") && !(1 != 1)", "1 <= 1 && 1 >= 1"})
    EXPECT_TRUE(holds(text)) << text;
  for (const char* text :
       {"{{input.ten}} < 9", "{{input.none}}", "1 == 2 || 3 == 4", "!1", "\"false\"", "0"})
    EXPECT_FALSE(holds(text)) << text;
  for (const char* text : {"", "(1", "1 ==", "1 2", "{{a.b", "'x", "yes", "&& 1", "1 === 2"})
    EXPECT_THROW(Condition::parse(text), Error) << text;
  EXPECT_THROW(Condition::parse(std::string(100, '(') + "1" + std::string(100, ')')), Error);
  EXPECT_THROW(Condition::parse(std::string(100, '!') + "1"), Error);
}

TEST(JsonValue, ReadsJsonAndNothingElse) {
  for (const char* json : {"null", "true", "-0.5e+3", R"("\u00e9\ud83d\ude00\n")", "[1,[],{}]",
                           R"({"a":{"b":[1,"two",null]}})"}) {
    const std::optional<JsonValue> value = JsonValue::parse(json);
    ASSERT_TRUE(value) << json;
    EXPECT_EQ(JsonValue::parse(value->str())->str(), value->str());
  }
  for (const char* json :
       {"", "tru", "01", "1.", ".5", "+1", "[1,]", "{\"a\"}", "{\"a\":1,}", "\"\\x\"",
        "\"\\ud800\"", "\"\\u0000\"", "\"\n\"", "1 2", "[", "{1:2}", "'a'", "NaN"})
    EXPECT_FALSE(JsonValue::parse(json)) << json;
  EXPECT_TRUE(JsonValue::parse(std::string(63, '[') + std::string(63, ']')));
  EXPECT_FALSE(JsonValue::parse(std::string(100000, '[')));
}

TEST(Clipped, KeepsCharactersWhole) {
  EXPECT_EQ(clipped("h\xc3\xa9llo", 2), "h");
  EXPECT_EQ(clipped("h\xc3\xa9llo", 3), "h\xc3\xa9");
  EXPECT_EQ(clipped("abc", 9), "abc");
}

} // namespace
} // namespace holdfast
