#include "extension/pg/values.hpp"

#include "extension/core/error.hpp"
#include "extension/core/json_object.hpp"
#include "extension/core/numeric_format.hpp"

namespace holdfast::pg {

namespace {

constexpr std::int64_t kUnixEpochSeconds =
    std::int64_t{POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE} * SECS_PER_DAY;

std::string_view view(const varlena* value) {
  return {VARDATA_ANY(value), static_cast<std::size_t>(VARSIZE_ANY_EXHDR(value))};
}

// A detoasted copy or the value itself; freed with the memory context.
const varlena* detoasted(Datum datum) {
  return call([=] { return PG_DETOAST_DATUM_PACKED(datum); });
}

struct Elements {
  Datum* values;
  bool* nulls;
  int count;
};

Elements elements(Datum array, Oid type, int length, bool by_value, char align) {
  return call([=] {
    Elements found{};
    deconstruct_array(DatumGetArrayTypeP(array), type, length, by_value, align, &found.values,
                      &found.nulls, &found.count);
    return found;
  });
}

Datum make_array(std::vector<Datum>& values, Oid type, int length, bool by_value, char align) {
  Datum* data = values.data();
  const int count = static_cast<int>(values.size());
  return call(
      [=] { return PointerGetDatum(construct_array(data, count, type, length, by_value, align)); });
}

Datum make_varlena(std::string_view bytes) {
  return call([=] {
    auto* value = static_cast<varlena*>(palloc(bytes.size() + VARHDRSZ));
    SET_VARSIZE(value, bytes.size() + VARHDRSZ);
    std::memcpy(VARDATA(value), bytes.data(), bytes.size());
    return PointerGetDatum(value);
  });
}

const char* numeric_text(Datum datum) {
  return call([=] { return DatumGetCString(DirectFunctionCall1(numeric_out, datum)); });
}

// For ids, which have to be different but not secret. Seeded once in each server process, not in
// the postmaster that they are forked from.
std::mt19937_64& random_source() {
  static std::mt19937_64 source;
  static int seeded_in = 0;
  if (seeded_in == MyProcPid) return source;
  std::array<std::uint32_t, 8> seed{};
  if (!pg_strong_random(seed.data(), sizeof(seed)))
    throw Error("58000", "The server has no source of random numbers.");
  std::seed_seq sequence(seed.begin(), seed.end());
  source.seed(sequence);
  seeded_in = MyProcPid;
  return source;
}

} // namespace

Uuid to_uuid(Datum datum) {
  Uuid uuid;
  std::memcpy(uuid.bytes.data(), DatumGetUUIDP(datum)->data, uuid.bytes.size());
  return uuid;
}

std::string to_text(Datum datum) {
  return std::string(view(detoasted(datum)));
}

std::string to_bytes(Datum datum) {
  return std::string(view(detoasted(datum)));
}

Usd to_usd(Datum datum, const char* what) {
  const char* decimal = numeric_text(datum);
  const std::optional<Usd> amount = Usd::parse(decimal);
  if (amount && *amount <= Usd::most_given() && *amount >= -Usd::most_given()) return *amount;
  throw bad_value(std::string(what) + " is no amount of USD that can be kept.")
      .detail(JsonObject()
                  .text("field", what)
                  .text("value", std::string_view(decimal).substr(0, 64))
                  .str())
      .hint("Give a finite number with at most 18 decimals and at most 1000000000000000.");
}

Usd stored_usd(Datum datum) {
  if (const std::optional<Usd> amount = read_numeric(view(detoasted(datum)))) return *amount;
  const std::optional<Usd> amount = Usd::parse(numeric_text(datum));
  if (!amount) throw Error("XX000", "a stored amount is no amount of USD");
  return *amount;
}

std::vector<Uuid> to_uuids(Datum array) {
  const Elements found = elements(array, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR);
  std::vector<Uuid> uuids;
  for (int i = 0; i < found.count; ++i) {
    if (!found.nulls[i]) uuids.push_back(to_uuid(found.values[i]));
  }
  return uuids;
}

std::vector<std::int32_t> to_int32s(Datum array) {
  const Oid type = ARR_ELEMTYPE(DatumGetArrayTypeP(array)); // int4 or date: both four bytes
  const Elements found = elements(array, type, 4, true, TYPALIGN_INT);
  std::vector<std::int32_t> numbers;
  for (int i = 0; i < found.count; ++i) {
    if (!found.nulls[i]) numbers.push_back(DatumGetInt32(found.values[i]));
  }
  return numbers;
}

std::vector<std::int16_t> to_int16s(Datum array) {
  const Elements found = elements(array, INT2OID, 2, true, TYPALIGN_SHORT);
  std::vector<std::int16_t> numbers;
  for (int i = 0; i < found.count; ++i) {
    if (!found.nulls[i]) numbers.push_back(DatumGetInt16(found.values[i]));
  }
  return numbers;
}

std::vector<std::string> to_texts(Datum array) {
  const Elements found = elements(array, TEXTOID, -1, false, TYPALIGN_INT);
  std::vector<std::string> texts;
  for (int i = 0; i < found.count; ++i) {
    if (!found.nulls[i]) texts.push_back(to_text(found.values[i]));
  }
  return texts;
}

void require_object(Datum jsonb, const char* what) {
  if (!call([=] { return JB_ROOT_IS_OBJECT(DatumGetJsonbP(jsonb)); }))
    throw bad_value(std::string(what) + " is no JSON object.")
        .detail(JsonObject().text("field", what).str());
}

std::string json_object_text(Datum jsonb, const char* what) {
  require_object(jsonb, what);
  return call([=] { return DatumGetCString(DirectFunctionCall1(jsonb_out, jsonb)); });
}

Datum from_uuid(const Uuid& uuid) {
  const std::uint8_t* bytes = uuid.bytes.data();
  return call([=] {
    auto* value = static_cast<pg_uuid_t*>(palloc(sizeof(pg_uuid_t)));
    std::memcpy(value->data, bytes, UUID_LEN);
    return UUIDPGetDatum(value);
  });
}

Datum from_text(std::string_view text) {
  return make_varlena(text);
}

Datum from_bytes(std::string_view bytes) {
  return make_varlena(bytes);
}

Datum from_usd(Usd amount) {
  return make_varlena(StoredNumeric(amount).bytes());
}

Datum from_texts(const std::vector<std::string>& texts) {
  std::vector<Datum> values;
  for (const std::string& text : texts)
    values.push_back(from_text(text));
  return make_array(values, TEXTOID, -1, false, TYPALIGN_INT);
}

Datum from_uuids(const std::vector<Uuid>& uuids) {
  std::vector<Datum> values;
  for (const Uuid& uuid : uuids)
    values.push_back(from_uuid(uuid));
  return make_array(values, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR);
}

Datum from_int16s(const std::vector<std::int16_t>& numbers) {
  std::vector<Datum> values;
  for (const std::int16_t number : numbers)
    values.push_back(Int16GetDatum(number));
  return make_array(values, INT2OID, 2, true, TYPALIGN_SHORT);
}

Datum from_usds(const std::vector<Usd>& amounts) {
  std::vector<Datum> values;
  for (const Usd amount : amounts)
    values.push_back(from_usd(amount));
  return make_array(values, NUMERICOID, -1, false, TYPALIGN_INT);
}

Datum from_dates(const std::vector<std::int32_t>& days) {
  std::vector<Datum> values;
  for (const std::int32_t day : days)
    values.push_back(DateADTGetDatum(day));
  return make_array(values, DATEOID, 4, true, TYPALIGN_INT);
}

std::string inet_text(Datum inet) {
  return call([=] { return DatumGetCString(DirectFunctionCall1(inet_out, inet)); });
}

Datum from_jsonb_text(std::string_view json) {
  const std::string text(json);
  const char* chars = text.c_str();
  return call([=] { return DirectFunctionCall1(jsonb_in, CStringGetDatum(chars)); });
}

Datum empty_jsonb() {
  static Datum kept = call([] {
    const MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
    const Datum made = DirectFunctionCall1(jsonb_in, CStringGetDatum("{}"));
    MemoryContextSwitchTo(caller);
    return made;
  });
  return kept;
}

Uuid new_uuid() {
  return new_uuid(GetCurrentTimestamp());
}

Uuid new_uuid(TimestampTz moment) {
  std::array<std::uint8_t, 16> random{};
  std::mt19937_64& source = random_source();
  const std::array<std::uint64_t, 2> words = {source(), source()};
  std::memcpy(random.data(), words.data(), random.size());
  // Twelve of the random bits tell the microsecond, so that the ids of a process sort as they came.
  const std::int64_t part = (moment % 1000 + 1000) % 1000 * 4096 / 1000;
  random[6] = static_cast<std::uint8_t>(part >> 8);
  random[7] = static_cast<std::uint8_t>(part);
  const std::int64_t unix_us = moment + kUnixEpochSeconds * USECS_PER_SEC;
  return uuid_v7(static_cast<std::uint64_t>(unix_us / 1000), random);
}

std::int32_t utc_day(TimestampTz moment) {
  const std::int64_t day = moment / USECS_PER_DAY - (moment % USECS_PER_DAY < 0 ? 1 : 0);
  return static_cast<std::int32_t>(day);
}

} // namespace holdfast::pg
