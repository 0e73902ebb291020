#include "extension/core/json_schema.hpp"

#include "extension/core/error.hpp"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

JsonSchema schema_of(const std::string& json) {
  return JsonSchema::parse(JsonValue::parse(json).value(), "a");
}

std::string fault_of(const std::string& schema, const std::string& value) {
  return schema_of(schema).fault(JsonValue::parse(value).value()).value_or("");
}

constexpr const char* kProfile = R"({
  "type": "object", "additionalProperties": false, "required": ["name", "pains"],
  "properties": {
    "name": {"type": "string", "minLength": 2, "maxLength": 5, "description": "who"},
    "size": {"type": ["integer", "null"], "minimum": 1, "maximum": 10},
    "kind": {"enum": ["a", "b", 3]},
    "pains": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "string"}}}})";

TEST(JsonSchema, NamesTheFirstThingThatDoesNotFit) {
  const struct {
    const char* value;
    const char* fault;
  } cases[] = {
      {R"({"name": "Anna", "pains": ["x"], "size": 3.0, "kind": 3.0})", ""},
      {R"({"name": "Änné!", "pains": ["x", "y"], "size": null})", ""},
      {R"([])", "The answer is array, not object."},
      {R"({"name": "Anna"})", "The answer has no \"pains\"."},
      {R"({"name": 5, "pains": ["x"]})", "\"name\" is number, not string."},
      {R"({"name": "A", "pains": ["x"]})", "\"name\" has 1 characters, fewer than 2."},
      {R"({"name": "Anna B", "pains": ["x"]})", "\"name\" has 6 characters, more than 5."},
      {R"({"name": "Anna", "pains": []})", "\"pains\" has 0 items, fewer than 1."},
      {R"({"name": "Anna", "pains": ["x", "y", "z"]})", "\"pains\" has 3 items, more than 2."},
      {R"({"name": "Anna", "pains": ["x", {}]})", "\"pains[1]\" is object, not string."},
      {R"({"name": "Anna", "pains": ["x"], "size": 2.5})",
       "\"size\" is number, not integer or null."},
      {R"({"name": "Anna", "pains": ["x"], "size": 0})", "\"size\" is 0, below 1."},
      {R"({"name": "Anna", "pains": ["x"], "size": 1e3})", "\"size\" is 1e3, above 10."},
      {R"({"name": "Anna", "pains": ["x"], "kind": "c"})",
       "\"kind\" is \"c\", none of \"a\", \"b\", 3."},
      {R"({"name": "Anna", "pains": ["x"], "age": 3})",
       "The answer has \"age\", which is not wanted."},
      {R"({"name": "Anna", "pains": ["x"], "name": "Bob"})", "The answer has \"name\" twice."},
  };
  for (const auto& each : cases)
    EXPECT_EQ(fault_of(kProfile, each.value), each.fault) << each.value;
}

TEST(JsonSchema, LetsAnythingBeWhatItDoesNotName) {
  EXPECT_EQ(fault_of("{}", "[1, {\"a\": null}]"), "");
  EXPECT_EQ(fault_of(R"({"properties": {"a": {"type": "string"}}})", R"({"b": 1})"), "");
  EXPECT_EQ(fault_of(R"({"minimum": -1e400})", "-5"), "");
  EXPECT_EQ(fault_of(R"({"type": "integer", "maximum": 5})", "1e400"),
            "The answer is 1e400, above 5.");
  EXPECT_EQ(fault_of(R"({"enum": [{"a": 1, "b": [true]}]})", R"({"b": [true], "a": 1.0})"), "");
}

TEST(JsonSchema, RefusesWhatItDoesNotKeep) {
  const char* const bad[] = {
      R"([])",
      R"({"pattern": "x"})",
      R"({"type": "text"})",
      R"({"type": []})",
      R"({"type": 3})",
      R"({"required": "a"})",
      R"({"required": ["a"], "additionalProperties": false})",
      R"({"additionalProperties": {"type": "string"}})",
      R"({"properties": []})",
      R"({"properties": {"a": {"items": [{}]}}})",
      R"({"minItems": 2, "maxItems": 1})",
      R"({"minLength": -1})",
      R"({"maxLength": 1.5})",
      R"({"minItems": 1e9})",
      R"({"minimum": 3, "maximum": 2})",
      R"({"minimum": "3"})",
      R"({"enum": []})",
  };
  for (const char* json : bad) {
    try {
      schema_of(json);
      ADD_FAILURE() << json;
    } catch (const Error& error) {
      EXPECT_EQ(error.sqlstate(), "PT422") << json;
      EXPECT_EQ(error.detail(), R"({"step": "a", "fault": "bad_schema"})") << error.message();
    }
  }
}

TEST(JsonSchema, MakesAnExampleThatFits) {
  const char* const schemas[] = {
      kProfile,
      "{}",
      R"({"type": "array", "minItems": 3, "items": {"type": "string", "minLength": 300}})",
      R"({"type": "array", "maxItems": 0})",
      R"({"type": "integer", "minimum": 0.5})",
      R"({"type": "integer", "maximum": -0.5})",
      R"({"type": "number", "minimum": 2.25, "maximum": 2.5})",
      R"({"required": ["x"], "type": "object"})",
      R"({"properties": {"ä": {"maxLength": 11}}, "required": ["ä"]})",
      R"({"items": {"type": "boolean"}})",
      R"({"type": "null"})",
  };
  for (const char* json : schemas) {
    const JsonSchema schema = schema_of(json);
    const auto example = schema.example("[sandbox]");
    ASSERT_TRUE(example) << json;
    EXPECT_EQ(schema.fault(*example).value_or(""), "") << json << " " << example->str();
    EXPECT_EQ(example->str(), schema.example("[sandbox]")->str());
  }
  EXPECT_EQ(schema_of(R"({"type": "array", "minItems": 2})").example("[sandbox]")->str(),
            R"(["[sandbox] answer 1","[sandbox] answer 2"])");
  EXPECT_FALSE(
      schema_of(
          R"({"items": {"items": {"minLength": 100000}, "minItems": 1000}, "minItems": 1000})")
          .example("[sandbox]"));
}

std::string first_of(std::string_view answer) {
  const std::vector<JsonValue> values = json_in(answer);
  return values.empty() ? "none" : values.front().str();
}

TEST(JsonIn, FindsTheJsonOfAnAnswer) {
  EXPECT_EQ(first_of(R"( {"a": 1} )"), R"({"a":1})");
  EXPECT_EQ(first_of("```json\n{\"a\": \"```\"}\n```"), R"({"a":"```"})");
  EXPECT_EQ(first_of("```\n[1, 2]\n``` Hope it helps!"), "[1,2]");
  EXPECT_EQ(first_of("As [1] says: {\"a\": \"}\\\"]\"} and [2]."), R"({"a":"}\"]"})");
  EXPECT_EQ(first_of("{not this} but {\"a\": {\"b\": []}}"), R"({"a":{"b":[]}})");
  EXPECT_EQ(first_of("{\"a\": 1, \"b\": [1, 2"), "none"); // cut off
  EXPECT_EQ(first_of("\"only text\""), "\"only text\"");
  EXPECT_EQ(first_of("no JSON here"), "none");
  EXPECT_EQ(first_of(std::string(100'000, '{')), "none");
}

TEST(JsonIn, GivesTheLongestFirst) {
  const std::vector<JsonValue> values = json_in("[1] {\"long\": true} {}");
  ASSERT_EQ(values.size(), 3u);
  EXPECT_EQ(values[0].str(), R"({"long":true})");
  EXPECT_EQ(values[1].str(), "[1]");
}

} // namespace
} // namespace holdfast
