#include "extension/core/model_name.hpp"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

TEST(ModelName, CutsWhatProvidersAdd) {
  const std::pair<const char*, const char*> names[] = {
      {"gpt-4o-mini", "gpt-4o-mini"},
      {"GPT-4o-Mini", "gpt-4o-mini"},
      {"openai/gpt-4o-mini", "gpt-4o-mini"},
      {"gpt-4o-mini-2024-07-18", "gpt-4o-mini"},
      {"claude-3-5-haiku-20241022", "claude-3-5-haiku"},
      {"claude-3-5-haiku@20241022", "claude-3-5-haiku"},
      {"mistral-large-2411", "mistral-large"},
      {"command-r-08-2024", "command-r"},
      {"gemini-1.5-flash-002", "gemini-1.5-flash"},
      {"openrouter/anthropic/claude-3.5-sonnet:free", "claude-3.5-sonnet"},
      {"llama-3.1-70b", "llama-3.1-70b"},
      {"sonar-latest", "sonar"},
  };
  for (const auto& [name, plain] : names)
    EXPECT_EQ(plain_model(name), plain) << name;
}

TEST(ModelName, KeepsWhatIsNoVariant) {
  for (const char* name : {"gpt-3.5-turbo", "llama-3.3-70b", "o1", "claude-3-5-sonnet", "-latest",
                           "model/", ":free", "command-a-reasoning"})
    EXPECT_EQ(plain_model(name), name);
}

TEST(ModelName, TriesTheMostSpecificNameFirst) {
  const std::vector<std::string> expected = {"a/b/m-2024-07-18", "a/b/m", "b/m-2024-07-18", "b/m",
                                             "m-2024-07-18",     "m"};
  EXPECT_EQ(model_candidates("A/b/M-2024-07-18"), expected);
}

TEST(ModelName, EndsOnHostileNames) {
  std::string slashes(255, '/');
  EXPECT_FALSE(model_candidates(slashes).empty());
  std::string colons(255, ':');
  EXPECT_FALSE(model_candidates(colons).empty());
  EXPECT_EQ(model_candidates("").size(), 1U);
}

} // namespace
} // namespace holdfast
