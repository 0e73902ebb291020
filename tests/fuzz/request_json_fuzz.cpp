// Any request's body: refused with a 400, or an object whose texts are UTF-8 without NUL.
#include "extension/core/input_text.hpp"
#include "gateway/http_error.hpp"
#include "gateway/json_text.hpp"
#include "gateway/request_controls.hpp"
#include "gateway/request_json.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace {

using holdfast::fuzz::require;

bool has_nul(const nlohmann::json& value) {
  if (value.is_string()) return value.get_ref<const std::string&>().find('\0') != std::string::npos;
  if (!value.is_structured()) return false;
  for (const auto& [name, member] : value.items())
    if (name.find('\0') != std::string::npos || has_nul(member)) return true;
  return false;
}

void check(const nlohmann::json& object, std::string_view body) {
  require(object.is_object() && holdfast::is_utf8(body), "a body is an object in UTF-8");
  const std::string written = object.dump(); // throws for what is no UTF-8
  for (const auto& [name, member] : object.items()) {
    const bool is_prompt =
        name == "prompt" || name == "systemPrompt" || name == "messages" || name == "system";
    require(is_prompt || !has_nul(member), "no text but a prompt has a NUL");
  }
  const nlohmann::json again = holdfast::gateway::parse_request_object(written);
  require(holdfast::gateway::request_fingerprint("POST", "/", again) ==
              holdfast::gateway::request_fingerprint("POST", "/", object),
          "a body written again is the same request");
  const auto members = holdfast::gateway::object_members(written);
  require(members && members->size() == object.size(), "an object's members are found in its text");
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view body = holdfast::fuzz::text_of(data, size);
  try {
    check(holdfast::gateway::parse_request_object(body), body);
  } catch (const holdfast::gateway::HttpError& error) {
    require(error.status == 400 && !error.message.empty(), "a refusal is a 400 that says why");
  }
  return 0;
}
