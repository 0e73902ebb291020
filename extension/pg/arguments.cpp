#include "extension/pg/arguments.hpp"

#include "extension/core/error.hpp"
#include "extension/core/json_object.hpp"

namespace holdfast::pg {

namespace {

constexpr std::size_t kMostTextBytes = 255;
constexpr std::int64_t kMostTtlUs = 24 * USECS_PER_HOUR;

} // namespace

Datum Arguments::required(int i, const char* name) const {
  if (!is_null(i)) return fcinfo_->args[i].value;
  throw bad_value(std::string(name) + " is NULL.")
      .detail(JsonObject().text("field", name).str())
      .hint(std::string("Give a value for ") + name + ".");
}

std::string Arguments::text(int i, const char* name) const {
  std::string value = to_text(required(i, name));
  if (!value.empty() && value.size() <= kMostTextBytes) return value;
  throw bad_value(std::string(name) + " has " + std::to_string(value.size()) +
                  " bytes, outside 1 to " + std::to_string(kMostTextBytes) + ".")
      .detail(JsonObject()
                  .text("field", name)
                  .number("bytes", static_cast<long long>(value.size()))
                  .number("mostBytes", static_cast<long long>(kMostTextBytes))
                  .str());
}

std::optional<Uuid> Arguments::optional_uuid(int i) const {
  if (is_null(i)) return std::nullopt;
  return to_uuid(fcinfo_->args[i].value);
}

std::optional<std::string> Arguments::optional_text(int i, const char* name) const {
  if (is_null(i)) return std::nullopt;
  return text(i, name);
}

std::optional<Usd> Arguments::optional_usd(int i, const char* name) const {
  if (is_null(i)) return std::nullopt;
  return to_usd(fcinfo_->args[i].value, name);
}

TimestampTz Arguments::expiry(int i, const char* name, TimestampTz now) const {
  const Datum ttl = required(i, name);
  const TimestampTz until = call([=] {
    return DatumGetTimestampTz(
        DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(now), ttl));
  });
  if (until > now && until <= now + kMostTtlUs) return until;
  throw bad_value(std::string(name) + " is not above 0 and at most 24 hours.")
      .detail(JsonObject().text("field", name).str())
      .hint("A call that lives longer extends its hold with holdfast.extend_hold().");
}

ResultRow& ResultRow::add(Datum value) {
  if (size_ == kMost) throw Error("XX000", "a result row has more columns than are kept");
  values_[static_cast<std::size_t>(size_)] = value;
  nulls_[static_cast<std::size_t>(size_++)] = false;
  return *this;
}

ResultRow& ResultRow::null() {
  add(Datum{0});
  nulls_[static_cast<std::size_t>(size_ - 1)] = true;
  return *this;
}

Datum ResultRow::finish(FunctionCallInfo fcinfo) const {
  const Datum* values = values_.data();
  const bool* nulls = nulls_.data();
  const int size = size_;
  return call([=] {
    // A scan of the function has made the row's shape already.
    const auto* scan = reinterpret_cast<const ReturnSetInfo*>(fcinfo->resultinfo);
    TupleDesc shape = scan != nullptr && IsA(scan, ReturnSetInfo) ? scan->expectedDesc : nullptr;
    if (shape == nullptr && get_call_result_type(fcinfo, nullptr, &shape) != TYPEFUNC_COMPOSITE)
      elog(ERROR, "the function is not declared to return a row");
    if (shape->natts != size)
      elog(ERROR, "the function is not declared to return a row of %d columns", size);
    const HeapTuple tuple = heap_form_tuple(BlessTupleDesc(shape), const_cast<Datum*>(values),
                                            const_cast<bool*>(nulls));
    return HeapTupleGetDatum(tuple);
  });
}

Datum return_rows(FunctionCallInfo fcinfo, MakeRows make) {
  if (SRF_IS_FIRSTCALL()) {
    FuncCallContext* state = call([=] { return init_MultiFuncCall(fcinfo); });
    MemoryContext before = MemoryContextSwitchTo(state->multi_call_memory_ctx);
    const std::vector<Datum> rows = make(fcinfo);
    const std::size_t count = rows.size();
    auto* kept = call([=] { return static_cast<Datum*>(palloc(sizeof(Datum) * (count + 1))); });
    std::copy(rows.begin(), rows.end(), kept);
    state->user_fctx = kept;
    state->max_calls = count;
    MemoryContextSwitchTo(before);
  }
  FuncCallContext* state = call([=] { return per_MultiFuncCall(fcinfo); });
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  if (state->call_cntr < state->max_calls) {
    const Datum row = static_cast<Datum*>(state->user_fctx)[state->call_cntr++];
    result->isDone = ExprMultipleResult;
    return row;
  }
  call([=] { end_MultiFuncCall(fcinfo, state); });
  result->isDone = ExprEndResult;
  fcinfo->isnull = true;
  return Datum{0};
}

} // namespace holdfast::pg
