#include "extension/pg/jsonb.hpp"

#include "extension/core/error.hpp"
#include "extension/core/json_object.hpp"
#include "extension/pg/values.hpp"

namespace holdfast::pg {

namespace {

Error wrong_type(const char* name, const char* expected) {
  return bad_value(std::string(name) + " is no " + expected + ".")
      .detail(JsonObject().text("field", name).text("expected", expected).str());
}

} // namespace

std::optional<JsonbValue> JsonbObject::find(const char* name) const {
  JsonbContainer* object = object_;
  const JsonbValue* value = call([=] {
    return getKeyJsonValueFromContainer(object, name, static_cast<int>(std::strlen(name)), nullptr);
  });
  if (value == nullptr || value->type == jbvNull) return std::nullopt;
  return *value;
}

std::optional<std::string> JsonbObject::text(const char* name) const {
  const std::optional<JsonbValue> value = find(name);
  if (!value) return std::nullopt;
  if (value->type != jbvString) throw wrong_type(name, "text");
  const auto length = static_cast<std::size_t>(value->val.string.len);
  if (length == 0 || length > 255) throw wrong_type(name, "text of 1 to 255 bytes");
  return std::string(value->val.string.val, length);
}

std::optional<std::int32_t> JsonbObject::integer(const char* name) const {
  const std::optional<JsonbValue> value = find(name);
  if (!value) return std::nullopt;
  if (value->type != jbvNumeric) throw wrong_type(name, "integer");
  const Usd number = to_usd(NumericGetDatum(value->val.numeric), name);
  const Int128 whole = number.units() / Usd::whole(1).units();
  if (number != Usd::from_units(whole * Usd::whole(1).units()) || whole > INT32_MAX ||
      whole < INT32_MIN)
    throw wrong_type(name, "integer");
  return static_cast<std::int32_t>(whole);
}

std::optional<Usd> JsonbObject::usd(const char* name) const {
  const std::optional<JsonbValue> value = find(name);
  if (!value) return std::nullopt;
  if (value->type == jbvNumeric) return to_usd(NumericGetDatum(value->val.numeric), name);
  // Languages whose numbers are floats write an exact decimal as text.
  if (value->type != jbvString) throw wrong_type(name, "number");
  const std::optional<Usd> amount =
      Usd::parse({value->val.string.val, static_cast<std::size_t>(value->val.string.len)});
  if (!amount || *amount > Usd::most_given() || *amount < -Usd::most_given())
    throw wrong_type(name, "amount of USD");
  return amount;
}

std::optional<Uuid> JsonbObject::uuid(const char* name) const {
  const std::optional<std::string> digits = text(name);
  if (!digits) return std::nullopt;
  const std::optional<Uuid> parsed = parse_uuid(*digits);
  if (!parsed) throw wrong_type(name, "uuid");
  return parsed;
}

std::optional<std::string> JsonbObject::object_text(const char* name) const {
  const std::optional<JsonbValue> value = find(name);
  if (!value) return std::nullopt;
  if (value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data))
    throw wrong_type(name, "JSON object");
  JsonbContainer* object = value->val.binary.data;
  const int length = value->val.binary.len;
  return std::string(call([=] { return JsonbToCString(nullptr, object, length); }));
}

namespace {

std::optional<JsonbValue> find_member(Datum jsonb, const char* name) {
  const JsonbValue* value = call([=]() -> const JsonbValue* {
    Jsonb* object = DatumGetJsonbP(jsonb);
    if (!JB_ROOT_IS_OBJECT(object)) return nullptr;
    return getKeyJsonValueFromContainer(&object->root, name, static_cast<int>(std::strlen(name)),
                                        nullptr);
  });
  if (value == nullptr || value->type == jbvNull) return std::nullopt;
  return *value;
}

} // namespace

std::optional<std::string> text_if_any(Datum jsonb, const char* name) {
  const std::optional<JsonbValue> value = find_member(jsonb, name);
  if (!value || value->type != jbvString) return std::nullopt;
  const auto length = static_cast<std::size_t>(value->val.string.len);
  if (length == 0 || length > 255) return std::nullopt;
  return std::string(value->val.string.val, length);
}

std::optional<bool> truth_if_any(Datum jsonb, const char* name) {
  const std::optional<JsonbValue> value = find_member(jsonb, name);
  if (!value || value->type != jbvBool) return std::nullopt;
  return value->val.boolean;
}

std::optional<Datum> nested_if_any(Datum jsonb, const char* name) {
  std::optional<JsonbValue> value = find_member(jsonb, name);
  if (!value || value->type != jbvBinary) return std::nullopt;
  JsonbValue* found = &*value;
  return call([=] { return JsonbPGetDatum(JsonbValueToJsonb(found)); });
}

std::optional<std::string> nested_text_if_any(Datum jsonb, const char* name) {
  const std::optional<JsonbValue> value = find_member(jsonb, name);
  if (!value || value->type != jbvBinary) return std::nullopt;
  JsonbContainer* nested = value->val.binary.data;
  const int length = value->val.binary.len;
  return std::string(call([=] { return JsonbToCString(nullptr, nested, length); }));
}

std::vector<JsonbContainer*> array_objects(Datum jsonb, const char* what, std::uint32_t most) {
  Jsonb* array = call([=] { return DatumGetJsonbP(jsonb); });
  const std::uint32_t count = JB_ROOT_COUNT(array);
  if (!JB_ROOT_IS_ARRAY(array) || JB_ROOT_IS_SCALAR(array)) throw wrong_type(what, "JSON array");
  if (count > most)
    throw bad_value(std::string(what) + " has " + std::to_string(count) + " elements, more than " +
                    std::to_string(most) + ".")
        .detail(
            JsonObject().text("field", what).number("elements", count).number("most", most).str())
        .hint("Send it in several calls.");
  std::vector<JsonbContainer*> objects;
  for (std::uint32_t i = 0; i < count; ++i) {
    const JsonbValue* element =
        call([=] { return getIthJsonbValueFromContainer(&array->root, i); });
    const bool is_object = element != nullptr && element->type == jbvBinary &&
                           JsonContainerIsObject(element->val.binary.data);
    objects.push_back(is_object ? element->val.binary.data : nullptr);
  }
  return objects;
}

} // namespace holdfast::pg
