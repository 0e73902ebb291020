#include "extension/pg/append_row.hpp"

#include "extension/pg/lock.hpp"

namespace holdfast::pg {

namespace {

int count_columns(TupleDesc shape) { // without those that were dropped
  int count = 0;
  for (int i = 0; i < shape->natts; ++i)
    count += TupleDescAttr(shape, i)->attisdropped ? 0 : 1;
  return count;
}

bool is_plain(Relation table, int columns) {
  const TupleDesc shape = RelationGetDescr(table);
  const TriggerDesc* triggers = table->trigdesc;
  const bool fires =
      triggers != nullptr &&
      (triggers->trig_insert_before_row || triggers->trig_insert_after_row ||
       triggers->trig_insert_before_statement || triggers->trig_insert_after_statement);
  const bool checks = shape->constr != nullptr &&
                      (shape->constr->num_check > 0 || shape->constr->has_generated_stored);
  return table->rd_rel->relkind == RELKIND_RELATION && !table->rd_rel->relispartition &&
         !table->rd_rel->relhasrules && !table->rd_rel->relforcerowsecurity && !fires && !checks &&
         count_columns(shape) == columns;
}

bool has_conflict(ResultRelInfo* target, TupleTableSlot* slot, EState* state) {
  ItemPointerData conflicting;
#if PG_VERSION_NUM >= 180000
  ItemPointerData none;
  ItemPointerSetInvalid(&none);
  return !ExecCheckIndexConstraints(target, slot, state, &conflicting, &none, NIL);
#else
  return !ExecCheckIndexConstraints(target, slot, state, &conflicting, NIL);
#endif
}

// True when another session's row took the key first.
bool insert_index_entries(ResultRelInfo* target, TupleTableSlot* slot, EState* state) {
  bool conflict = false;
#if PG_VERSION_NUM >= 160000
  ExecInsertIndexTuples(target, slot, state, false, true, &conflict, NIL, false);
#else
  ExecInsertIndexTuples(target, slot, state, false, true, &conflict, NIL);
#endif
  return conflict;
}

// The row is there for others to wait for, but not yet in truth: should its key be taken, it is
// killed without the end of the transaction.
bool insert_speculatively(Relation table, ResultRelInfo* target, TupleTableSlot* slot,
                          EState* state) {
  const TransactionId transaction = GetCurrentTransactionId();
  const uint32 token = SpeculativeInsertionLockAcquire(transaction);
  table_tuple_insert_speculative(table, slot, GetCurrentCommandId(true), 0, nullptr, token);
  const bool conflict = insert_index_entries(target, slot, state);
  table_tuple_complete_speculative(table, slot, token, !conflict);
  SpeculativeInsertionLockRelease(transaction);
  return !conflict;
}

} // namespace

void AppendTable::watch() {
  on_relation_change(
      [](Datum table, Oid relation) {
        reinterpret_cast<AppendTable*>(DatumGetPointer(table))->forget_if(relation);
      },
      PointerGetDatum(this));
}

// Runs inside the server's invalidation machinery: it must neither throw nor touch the catalog.
void AppendTable::forget_if(Oid relation) {
  if (relation == table_ || relation == InvalidOid) table_ = InvalidOid;
}

void AppendTable::look_up() {
  if (OidIsValid(table_)) return;
  const Oid found = get_relname_relid(table_name_, get_namespace_oid(schema_, false));
  if (!OidIsValid(found)) elog(ERROR, "relation %s.%s does not exist", schema_, table_name_);
  for (int i = 0; i < count_; ++i) {
    const AttrNumber attribute = get_attnum(found, columns_[i]);
    if (attribute == InvalidAttrNumber)
      elog(ERROR, "relation %s.%s has no column %s", schema_, table_name_, columns_[i]);
    attributes_[static_cast<std::size_t>(i)] = attribute;
    const Oid type = get_atttype(found, attribute);
    enums_[static_cast<std::size_t>(i)] = type_is_enum(type) ? type : InvalidOid;
  }
  table_ = found;
}

AppendedRows::AppendedRows(AppendTable& table) : appended_(table) {
  AppendTable* appended = &table;
  call([this, appended] {
    appended->look_up();
    table_ = table_open(appended->table_, RowExclusiveLock);
    suffices_ = is_plain(table_, appended->count_);
    if (!suffices_) return;
    slot_ = table_slot_create(table_, nullptr);
    state_ = CreateExecutorState();
    const MemoryContext caller = MemoryContextSwitchTo(state_->es_query_cxt);
    target_ = makeNode(ResultRelInfo);
    InitResultRelInfo(target_, table_, 1, nullptr, 0);
    ExecOpenIndices(target_, true);
    MemoryContextSwitchTo(caller);
  });
}

AppendedRows::~AppendedRows() {
  if (suffices_) {
    ExecCloseIndices(target_);
    ExecDropSingleTupleTableSlot(slot_);
    FreeExecutorState(state_);
  }
  table_close(table_, NoLock); // the lock goes with the transaction
}

bool AppendedRows::add(const Parameters& values, bool looked) {
  const Parameters* given = &values;
  return call([this, given, looked] {
    fill(*given);
    const bool is_added = insert(looked);
    ExecClearTuple(slot_);
    ResetPerTupleExprContext(state_);
    CommandCounterIncrement();
    return is_added;
  });
}

void AppendedRows::fill(const Parameters& values) {
  const TupleDesc shape = RelationGetDescr(table_);
  ExecClearTuple(slot_);
  std::fill_n(slot_->tts_isnull, shape->natts, true); // dropped columns stay so
  for (int i = 0; i < appended_.count_; ++i) {
    const int at = appended_.attributes_[static_cast<std::size_t>(i)] - 1;
    const Form_pg_attribute attribute = TupleDescAttr(shape, at);
    Datum value = values.values()[i];
    const bool is_null = values.nulls()[i] == 'n';
    if (is_null && attribute->attnotnull)
      ereport(ERROR, (errcode(ERRCODE_NOT_NULL_VIOLATION),
                      errmsg("column \"%s\" of relation \"%s\" must not be NULL",
                             NameStr(attribute->attname), RelationGetRelationName(table_))));
    const Oid enum_type = appended_.enums_[static_cast<std::size_t>(i)];
    if (!is_null && OidIsValid(enum_type))
      value = DirectFunctionCall2(enum_in, CStringGetDatum(TextDatumGetCString(value)),
                                  ObjectIdGetDatum(enum_type));
    slot_->tts_values[at] = value;
    slot_->tts_isnull[at] = is_null;
  }
  ExecStoreVirtualTuple(slot_);
  slot_->tts_tableOid = RelationGetRelid(table_);
}

bool AppendedRows::insert(bool looked) {
  for (;; looked = false) {
    CHECK_FOR_INTERRUPTS();
    if (!looked && has_conflict(target_, slot_, state_)) { // waits for one in flight
      if (IsolationUsesXactSnapshot()) raise_serialization_failure();
      return false;
    }
    if (insert_speculatively(table_, target_, slot_, state_)) return true;
  }
}

std::int64_t next_number(const char* schema, const char* sequence) {
  return call([=] {
    return nextval_internal(get_relname_relid(sequence, get_namespace_oid(schema, false)), false);
  });
}

} // namespace holdfast::pg
