#include "gateway/cache_controls.hpp"
#include "gateway/cache_key.hpp"
#include "gateway/http_error.hpp"

#include <gtest/gtest.h>

#include <set>

namespace holdfast::gateway {
namespace {

CacheWish wish_of(const std::string& cache, const std::string& control) {
  httplib::Request request;
  if (!cache.empty()) request.set_header("X-Holdfast-Cache", cache);
  if (!control.empty()) request.set_header("Cache-Control", control);
  return read_cache_wish(request);
}

TEST(CacheControls, AreOpenUnlessForbidden) {
  const CacheWish wish = wish_of("", "");
  EXPECT_FALSE(wish.asked);
  EXPECT_TRUE(wish.reads && wish.stores);
  EXPECT_EQ(wish.ttl_s, 86400);
  EXPECT_TRUE(wish_of("on", "").asked);
  EXPECT_EQ(wish_of("60", "").ttl_s, 60);
  EXPECT_FALSE(wish_of("off", "").is_open());
  for (const char* bad : {"0", "86401", "-1", "1.5", "often", "9e9"})
    EXPECT_THROW(wish_of(bad, ""), HttpError) << bad;
}

TEST(CacheControls, HonourCacheControl) {
  EXPECT_FALSE(wish_of("on", "no-store").is_open());
  EXPECT_FALSE(wish_of("on", "max-age=9, Private").is_open());
  const CacheWish fresh = wish_of("on", "No-Cache");
  EXPECT_TRUE(!fresh.reads && fresh.stores);
  EXPECT_FALSE(wish_of("on", "max-age=0").reads);
  EXPECT_EQ(wish_of("on", " max-age=30 ,x=y").max_age_s, 30);
  EXPECT_FALSE(wish_of("on", "max-age=86400").max_age_s);
  EXPECT_TRUE(wish_of("on", "max-age=x, only-if-cached").reads);
}

TEST(CacheControls, ReadTheBody) {
  const auto read = [](const char* body) {
    CacheWish wish;
    read_cache_members(nlohmann::json::parse(body), wish);
    return wish;
  };
  EXPECT_FALSE(read("{}").asked);
  EXPECT_TRUE(read(R"({"cache":true})").asked);
  EXPECT_EQ(read(R"({"cache":60})").ttl_s, 60);
  EXPECT_FALSE(read(R"({"cache":false})").is_open());
  EXPECT_FALSE(read(R"({"cache":true,"private":true})").is_open());
  EXPECT_THROW(read(R"({"cache":"yes"})"), HttpError);
  EXPECT_THROW(read(R"({"private":1})"), HttpError);
}

CallOrder order() {
  CallOrder made;
  made.controls.key.organization_id = "o";
  made.chat.model = "m";
  Message message;
  message.role = "user";
  message.parts.push_back({ContentPart::Kind::text, "hi", ""});
  made.chat.messages.push_back(message);
  return made;
}

TEST(CacheKey, HoldsAllThatMakesTheAnswer) {
  const std::vector<std::function<void(CallOrder&)>> changes = {
      [](CallOrder&) {},
      [](CallOrder& o) { o.controls.key.organization_id = "p"; },
      [](CallOrder& o) { o.chat.model = "n"; },
      [](CallOrder& o) { o.provider = "openai"; },
      [](CallOrder& o) {
        o.candidates.push_back({"openai", "m"});
      },
      [](CallOrder& o) { o.routing = "fastest"; },
      [](CallOrder& o) { o.capabilities.emplace_back("vision"); },
      [](CallOrder& o) { o.chat.messages[0].parts[0].text = "ho"; },
      [](CallOrder& o) { o.chat.messages[0].role = "system"; },
      [](CallOrder& o) { o.chat.messages[0].name = "ada"; },
      [](CallOrder& o) {
        o.chat.messages[0].tool_calls.push_back({"i", "f", "{}"});
      },
      [](CallOrder& o) {
        o.chat.tools = {{{"type", "function"}}};
      },
      [](CallOrder& o) { o.chat.tool_choice = "none"; },
      [](CallOrder& o) {
        o.chat.response_format = {{"type", "json_object"}};
      },
      [](CallOrder& o) { o.chat.stop = {"x"}; },
      [](CallOrder& o) {
        o.chat.stop = {"x", "y"};
      },
      [](CallOrder& o) { o.chat.stop = {"xy"}; },
      [](CallOrder& o) { o.chat.stop = {"x1:y"}; },
      [](CallOrder& o) {
        o.chat.messages[0].parts = {{ContentPart::Kind::text, "h", ""},
                                    {ContentPart::Kind::text, "i", ""}};
      },
      [](CallOrder& o) { o.chat.messages.push_back(o.chat.messages[0]); },
      [](CallOrder& o) { o.chat.temperature = 0; },
      [](CallOrder& o) { o.chat.temperature = 0.1; },
      [](CallOrder& o) { o.chat.temperature = 0.1 + 1e-16; },
      [](CallOrder& o) { o.chat.top_p = 0.5; },
      [](CallOrder& o) { o.chat.seed = 1; },
      [](CallOrder& o) { o.chat.max_tokens = 7; },
      [](CallOrder& o) { o.chat.choices = 2; },
      [](CallOrder& o) { o.chat.extra["logprobs"] = true; }};
  std::set<std::string> keys = {cache_key(order(), "api")};
  for (const auto& change : changes) {
    CallOrder changed = order();
    change(changed);
    keys.insert(cache_key(changed, "openai"));
  }
  EXPECT_EQ(keys.size(), changes.size() + 1);
  EXPECT_EQ(keys.begin()->size(), 32U);
}

TEST(CacheKey, LeavesOutWhoAsksAndHow) {
  CallOrder other = order();
  other.chat.stream = true;
  other.chat.extra["user"] = "ada";
  other.controls.user_id = "ada";
  other.controls.key.hash = "another key";
  other.metadata["requestId"] = "r";
  EXPECT_EQ(cache_key(other, "openai"), cache_key(order(), "openai"));
}

} // namespace
} // namespace holdfast::gateway
