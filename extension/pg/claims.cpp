#include "extension/pg/claims.hpp"

#include "extension/pg/values.hpp"

namespace holdfast::pg {

namespace {

const char* claims_text() {
  const char* text = call([] { return GetConfigOption("request.jwt.claims", true, false); });
  return text != nullptr && *text != '\0' ? text : nullptr;
}

} // namespace

bool has_claims() {
  return claims_text() != nullptr;
}

std::optional<std::string> claim(std::string_view name) {
  const char* text = claims_text();
  if (text == nullptr) return std::nullopt;
  const Datum json = call([=] {
    const Datum claims = DirectFunctionCall1(jsonb_in, CStringGetDatum(text));
    Jsonb* object = DatumGetJsonbP(claims);
    if (!JB_ROOT_IS_OBJECT(object)) return Datum{0};
    JsonbValue* value = getKeyJsonValueFromContainer(&object->root, name.data(),
                                                     static_cast<int>(name.size()), nullptr);
    if (value == nullptr || value->type != jbvString) return Datum{0};
    return PointerGetDatum(cstring_to_text_with_len(value->val.string.val, value->val.string.len));
  });
  if (json == Datum{0}) return std::nullopt;
  return to_text(json);
}

bool caller_is_operator() {
  return call([] {
    return DatumGetBool(DirectFunctionCall3(
        has_function_privilege_id_name, ObjectIdGetDatum(GetOuterUserId()),
        CStringGetTextDatum("holdfast.check_invariants(boolean)"), CStringGetTextDatum("EXECUTE")));
  });
}

void set_response_status(int status) {
  call([=] {
    const char* text = psprintf("%d", status);
    set_config_option("response.status", text, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true,
                      0, false);
  });
}

} // namespace holdfast::pg
