#include "extension/pg/trigger.hpp"

#include "extension/core/error.hpp"
#include "extension/pg/values.hpp"

namespace holdfast::pg {

namespace {

std::string text_of(HeapTuple tuple, TupleDesc shape, const char* column) {
  return to_text(call([=] {
    bool is_null = false;
    const int number = SPI_fnumber(shape, column);
    const Datum value = SPI_getbinval(tuple, shape, number, &is_null);
    if (is_null) elog(ERROR, "column %s of a trigger's row is NULL", column);
    return value;
  }));
}

} // namespace

RowChange row_change(FunctionCallInfo fcinfo, const char* text_column) {
  const auto* trigger = reinterpret_cast<const TriggerData*>(fcinfo->context);
  if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
    throw Error("39P01", "this is a function of row triggers");
  TupleDesc shape = RelationGetDescr(trigger->tg_relation);
  RowChange change;
  change.is_insert = TRIGGER_FIRED_BY_INSERT(trigger->tg_event);
  change.values.push_back(text_of(trigger->tg_trigtuple, shape, text_column));
  if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
    change.values.push_back(text_of(trigger->tg_newtuple, shape, text_column));
  return change;
}

std::uint64_t transaction_number() {
  return U64FromFullTransactionId(call([] { return GetTopFullTransactionId(); }));
}

} // namespace holdfast::pg
