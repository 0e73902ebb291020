#pragma once

#include "extension/core/usd.hpp"
#include "extension/core/uuid.hpp"
#include "extension/pg/boundary.hpp"

namespace holdfast::pg {

// Reads one JSON object. A member that is absent or null is nullopt; one of another type throws
// Error PT400 naming it.
class JsonbObject {
public:
  explicit JsonbObject(JsonbContainer* object) : object_(object) {}

  std::optional<std::string> text(const char* name) const;
  std::optional<std::int32_t> integer(const char* name) const;
  std::optional<Usd> usd(const char* name) const;
  std::optional<Uuid> uuid(const char* name) const;
  std::optional<std::string> object_text(const char* name) const; // a nested object, as JSON text

private:
  std::optional<JsonbValue> find(const char* name) const;
  JsonbContainer* object_;
};

// What a JSON object says of what no error is to be raised over: a member's text of at most 255
// bytes, a truth, an object or array as jsonb or as its JSON text; nullopt where there is none.
std::optional<std::string> text_if_any(Datum jsonb, const char* name);
std::optional<bool> truth_if_any(Datum jsonb, const char* name);
std::optional<Datum> nested_if_any(Datum jsonb, const char* name);
std::optional<std::string> nested_text_if_any(Datum jsonb, const char* name);

// The elements of a JSON array. Throws Error PT400 naming `what` unless it is an array of at most
// `most` elements. An element that is no object is nullptr.
std::vector<JsonbContainer*> array_objects(Datum jsonb, const char* what, std::uint32_t most);

} // namespace holdfast::pg
