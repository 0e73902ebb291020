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

// The elements of a JSON array. Throws Error PT400 naming `what` unless it is an array of at most
// `most` elements. An element that is no object is nullptr.
std::vector<JsonbContainer*> array_objects(Datum jsonb, const char* what, std::uint32_t most);

} // namespace holdfast::pg
