#pragma once

#include "extension/core/usd.hpp"
#include "extension/core/uuid.hpp"
#include "extension/pg/boundary.hpp"

// Between Datums and the core's values. Readers copy what they read; makers allocate in the
// current memory context. All may throw ServerError.
namespace holdfast::pg {

Uuid to_uuid(Datum datum);
std::string to_text(Datum datum);
std::string to_bytes(Datum datum);
// Money that a caller gives. Throws Error PT400 naming `what` for NaN, Infinity, more than 18
// decimals, or beyond Usd::most_given().
Usd to_usd(Datum datum, const char* what);
// Money that a table holds.
Usd stored_usd(Datum datum);
std::vector<Uuid> to_uuids(Datum array);
std::vector<std::int32_t> to_int32s(Datum array);
std::vector<std::int16_t> to_int16s(Datum array);
std::vector<std::string> to_texts(Datum array); // NULL elements are left out

// Throws Error PT400 naming `what` unless the jsonb value is an object.
void require_object(Datum jsonb, const char* what);

// The text of a jsonb value. Throws Error PT400 naming `what` unless it is an object.
std::string json_object_text(Datum jsonb, const char* what);

// An address as text, without the length of its mask where that is all of it.
std::string inet_text(Datum inet);

Datum from_uuid(const Uuid& uuid);
Datum from_text(std::string_view text);
Datum from_bytes(std::string_view bytes);
Datum from_usd(Usd amount);
Datum from_texts(const std::vector<std::string>& texts);
Datum from_uuids(const std::vector<Uuid>& uuids);
Datum from_int16s(const std::vector<std::int16_t>& numbers);
Datum from_usds(const std::vector<Usd>& amounts);
Datum from_dates(const std::vector<std::int32_t>& days);
Datum from_jsonb_text(std::string_view json);
Datum empty_jsonb(); // {}, the same for ever

// A fresh, time-ordered id, of this moment or of a given one.
Uuid new_uuid();
Uuid new_uuid(TimestampTz moment);

// The day of a moment in UTC, counted from 2000-01-01.
std::int32_t utc_day(TimestampTz moment);

} // namespace holdfast::pg
