#include "gateway/request_controls.hpp"

#include "gateway/http_error.hpp"

#include <gtest/gtest.h>

namespace holdfast::gateway {
namespace {

const std::string kOrganization = "01234567-89ab-cdef-0123-456789abcdef";
const std::string kKey = "hf_0123456789abcdef0123456789abcdef_" + std::string(43, 'k');

httplib::Request request(const httplib::Headers& headers) {
  httplib::Request made;
  made.headers = headers;
  return made;
}

template <typename Call>
int refused_status(Call call) {
  try {
    call();
  } catch (const HttpError& error) {
    return error.status;
  }
  return 0;
}

TEST(RequestControlsTest, ReadsThemAll) {
  const Controls controls =
      read_controls(request({{"Authorization", "Bearer " + kKey},
                             {"X-Holdfast-Organization", kOrganization},
                             {"X-Holdfast-Workflow", "AAAAAAAA-89ab-cdef-0123-456789abcdef"},
                             {"X-Holdfast-User", "ann"},
                             {"Idempotency-Key", "k 1"}}));
  EXPECT_EQ(controls.key.organization_id, kOrganization);
  EXPECT_EQ(controls.workflow_id, "aaaaaaaa-89ab-cdef-0123-456789abcdef");
  EXPECT_EQ(controls.user_id, "ann");
  EXPECT_EQ(controls.idempotency_key, "k 1");
}

TEST(RequestControlsTest, KeyAndOrganizationAreChecked) {
  EXPECT_EQ(refused_status([] { read_key(request({})); }), 401);
  EXPECT_EQ(refused_status([] { read_key(request({{"Authorization", "Bearer x"}})); }), 401);
  const auto with_organization = [](const std::string& organization) {
    return refused_status([&] {
      read_key(request(
          {{"Authorization", "Bearer " + kKey}, {"X-Holdfast-Organization", organization}}));
    });
  };
  EXPECT_EQ(with_organization("0123456789ABCDEF0123456789abcdef"), 0);
  EXPECT_EQ(with_organization("11234567-89ab-cdef-0123-456789abcdef"), 403);
  EXPECT_EQ(with_organization("x"), 400);
}

TEST(RequestControlsTest, IdempotencyKeyIsBounded) {
  const auto status = [](const std::string& key) {
    return refused_status([&] { checked_idempotency_key(key, "Idempotency-Key"); });
  };
  EXPECT_EQ(status("k"), 0);
  EXPECT_EQ(status(std::string(255, '~')), 0);
  for (const std::string& key : {std::string(), std::string(256, 'k'), std::string("a\tb"),
                                 std::string("\x7f"), std::string("\xc3\xa9")}) {
    EXPECT_EQ(status(key), 400) << key;
  }
}

TEST(RequestControlsTest, UserIdIsTextWithoutControls) {
  const auto status = [](const std::string& id) {
    return refused_status([&] { checked_user_id(id, "userId"); });
  };
  EXPECT_EQ(status("\xc3\xa9mile"), 0);
  for (const std::string& id :
       {std::string(), std::string(256, 'u'), std::string("a\nb"), std::string("\xff")}) {
    EXPECT_EQ(status(id), 400) << id;
  }
}

TEST(RequestControlsTest, HeaderAndBodyMustAgree) {
  std::optional<std::string> control;
  merge_control(control, std::nullopt, "workflowId");
  EXPECT_FALSE(control);
  merge_control(control, "a", "workflowId");
  EXPECT_EQ(control, "a");
  merge_control(control, "a", "workflowId");
  EXPECT_EQ(refused_status([&] { merge_control(control, "b", "workflowId"); }), 400);
}

TEST(RequestControlsTest, FingerprintIgnoresTheOrderOfMembersOnly) {
  const auto of = [](const char* method, const char* path, const char* body) {
    return request_fingerprint(method, path, nlohmann::json::parse(body));
  };
  const std::string one = of("POST", "/p", R"({"a":1,"b":{"c":2,"d":3}})");
  EXPECT_EQ(one.size(), 32U);
  EXPECT_EQ(one, of("POST", "/p", R"({ "b":{"d":3,"c":2}, "a":1 })"));
  EXPECT_NE(one, of("POST", "/p", R"({"a":1,"b":{"c":2,"d":4}})"));
  EXPECT_NE(one, of("POST", "/q", R"({"a":1,"b":{"c":2,"d":3}})"));
  EXPECT_NE(one, of("PUT", "/p", R"({"a":1,"b":{"c":2,"d":3}})"));
}

} // namespace
} // namespace holdfast::gateway
