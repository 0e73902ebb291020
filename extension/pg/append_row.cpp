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

bool is_plain(Relation table, int columns, bool is_partition) {
  const TupleDesc shape = RelationGetDescr(table);
  const TriggerDesc* triggers = table->trigdesc;
  const bool fires =
      triggers != nullptr &&
      (triggers->trig_insert_before_row || triggers->trig_insert_after_row ||
       triggers->trig_insert_before_statement || triggers->trig_insert_after_statement);
  const bool checks = shape->constr != nullptr &&
                      (shape->constr->num_check > 0 || shape->constr->has_generated_stored);
  return table->rd_rel->relkind == RELKIND_RELATION &&
         table->rd_rel->relispartition == is_partition && !table->rd_rel->relhasrules &&
         !table->rd_rel->relforcerowsecurity && !fires && !checks &&
         count_columns(shape) == columns;
}

AttrNumber column_of(const void* node) {
  return IsA(node, Var) ? static_cast<const Var*>(node)->varattno : InvalidAttrNumber;
}

// Reads `column IS NOT NULL` or `column = 'a value of its enum'`; false for any other predicate.
bool read_predicate(List* predicate, AttrNumber* column, std::optional<Datum>* value) {
  if (predicate == NIL) return true;
  if (list_length(predicate) != 1) return false;
  const void* node = linitial(predicate);
  if (IsA(node, NullTest)) {
    const auto* test = static_cast<const NullTest*>(node);
    *column = column_of(test->arg);
    return test->nulltesttype == IS_NOT_NULL && *column != InvalidAttrNumber;
  }
  if (!IsA(node, OpExpr)) return false;
  const auto* comparison = static_cast<const OpExpr*>(node);
  if (get_opcode(comparison->opno) != F_ENUM_EQ || !IsA(lsecond(comparison->args), Const))
    return false;
  *column = column_of(linitial(comparison->args));
  *value = static_cast<const Const*>(lsecond(comparison->args))->constvalue;
  return *column != InvalidAttrNumber;
}

// Waits for a row in flight that has the key. Only where one was met: this is the executor's way.
bool has_conflict(Relation table, TupleTableSlot* slot) {
  EState* state = CreateExecutorState();
  auto* target = makeNode(ResultRelInfo);
  InitResultRelInfo(target, table, 1, nullptr, 0);
  ExecOpenIndices(target, true);
  ItemPointerData conflicting;
#if PG_VERSION_NUM >= 180000
  ItemPointerData none;
  ItemPointerSetInvalid(&none);
  const bool is_free = ExecCheckIndexConstraints(target, slot, state, &conflicting, &none, NIL);
#else
  const bool is_free = ExecCheckIndexConstraints(target, slot, state, &conflicting, NIL);
#endif
  ExecCloseIndices(target);
  FreeExecutorState(state);
  return !is_free;
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

AppendTable& AppendTable::at(TimestampTz moment) {
  if (moment >= from_ && moment < to_) return *this;
  const auto first_day = [](std::int32_t month) { // a moment; dates count from 2000-01-01
    const int day = date2j(month / 12, month % 12 + 1, 1) - POSTGRES_EPOCH_JDATE;
    return static_cast<TimestampTz>(day) * USECS_PER_DAY;
  };
  int year = 0;
  int month = 0;
  int day = 0;
  j2date(utc_day(moment) + POSTGRES_EPOCH_JDATE, &year, &month, &day);
  month_ = year * 12 + month - 1;
  from_ = first_day(month_);
  to_ = first_day(month_ + 1);
  table_ = InvalidOid;
  return *this;
}

// Only inside call().
Oid AppendTable::find_table() const {
  if (!is_partitioned_) return relation_id(schema_, table_name_);
  std::array<char, NAMEDATALEN> name{};
  snprintf(name.data(), name.size(), "%s_%04d%02d", table_name_, month_ / 12, month_ % 12 + 1);
  const Oid found = get_relname_relid(name.data(), get_namespace_oid(schema_, false));
  if (OidIsValid(found)) return found;
  snprintf(name.data(), name.size(), "%s_rest", table_name_);
  return relation_id(schema_, name.data());
}

void AppendTable::look_up() {
  if (OidIsValid(table_)) return;
  const Oid found = find_table();
  const Relation table = table_open(found, AccessShareLock);
  look_up_columns(table);
  is_plain_ = is_plain(table, count_, is_partitioned_) && look_up_indexes(table);
  table_close(table, AccessShareLock);
  table_ = found;
}

void AppendTable::look_up_columns(Relation table) {
  for (int i = 0; i < count_; ++i) {
    const AttrNumber attribute = get_attnum(RelationGetRelid(table), columns_[i]);
    if (attribute == InvalidAttrNumber)
      elog(ERROR, "relation %s.%s has no column %s", schema_, table_name_, columns_[i]);
    const Oid type = get_atttype(RelationGetRelid(table), attribute);
    attributes_[static_cast<std::size_t>(i)] = attribute;
    enums_[static_cast<std::size_t>(i)] = type_is_enum(type) ? type : InvalidOid;
  }
}

// False when an index needs the executor.
bool AppendTable::look_up_indexes(Relation table) {
  bool all_plain = true;
  List* ids = RelationGetIndexList(table);
  index_count_ = 0;
  for (int i = 0; i < list_length(ids) && all_plain; ++i) {
    const Relation index = index_open(list_nth_oid(ids, i), AccessShareLock);
    Index found{RelationGetRelid(index), InvalidAttrNumber, std::nullopt};
    all_plain = index_count_ < kMostIndexes && RelationGetIndexExpressions(index) == NIL &&
                !index->rd_index->indisexclusion && index->rd_index->indimmediate &&
                read_predicate(RelationGetIndexPredicate(index), &found.column, &found.value);
    if (all_plain) indexes_[static_cast<std::size_t>(index_count_++)] = found;
    index_close(index, AccessShareLock);
  }
  list_free(ids);
  return all_plain;
}

AppendedRows::AppendedRows(AppendTable& table) : appended_(table) {
  AppendTable* appended = &table;
  call([this, appended] {
    PreventCommandIfReadOnly("INSERT"); // as the executor would
    for (;;) {                          // again where the table changed while we waited for it
      appended->look_up();
      table_ = table_open(appended->table_, RowExclusiveLock);
      if (OidIsValid(appended->table_)) break;
      table_close(table_, RowExclusiveLock);
    }
    slot_ = table_slot_create(table_, nullptr);
  });
}

AppendedRows::~AppendedRows() { // the locks go with the transaction
  for (const Relation index : indexes_) {
    if (index != nullptr) index_close(index, NoLock);
  }
  ExecDropSingleTupleTableSlot(slot_);
  table_close(table_, NoLock);
}

void AppendedRows::add(const Parameters& values) {
  const Parameters* given = &values;
  call([this, given] {
    fill(*given);
    table_tuple_insert(table_, slot_, GetCurrentCommandId(true), 0, nullptr);
    insert_index_entries(false);
    done();
  });
}

bool AppendedRows::add_unless_taken(const Parameters& values) {
  const Parameters* given = &values;
  return call([this, given] {
    fill(*given);
    bool is_added = insert_speculatively();
    while (!is_added && !is_taken()) {
      CHECK_FOR_INTERRUPTS();
      is_added = insert_speculatively();
    }
    done();
    return is_added;
  });
}

bool AppendedRows::is_taken() {
  if (!has_conflict(table_, slot_)) return false;
  if (IsolationUsesXactSnapshot()) raise_serialization_failure();
  return true;
}

void AppendedRows::done() {
  ExecClearTuple(slot_);
  CommandCounterIncrement();
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

// The row is there for others to wait for, but not yet in truth: should its key be taken, it is
// killed without the end of the transaction.
bool AppendedRows::insert_speculatively() {
  const TransactionId transaction = GetCurrentTransactionId();
  const uint32 token = SpeculativeInsertionLockAcquire(transaction);
  table_tuple_insert_speculative(table_, slot_, GetCurrentCommandId(true), 0, nullptr, token);
  const bool is_free = insert_index_entries(true);
  table_tuple_complete_speculative(table_, slot_, token, is_free);
  SpeculativeInsertionLockRelease(transaction);
  return is_free;
}

// False when a unique index has the key already; unless it may, that is an error.
bool AppendedRows::insert_index_entries(bool may_be_taken) {
  bool is_free = true;
  for (int i = 0; i < appended_.index_count_; ++i)
    is_free = insert_index_entry(static_cast<std::size_t>(i), may_be_taken) && is_free;
  return is_free;
}

bool AppendedRows::insert_index_entry(std::size_t number, bool may_be_taken) {
  const AppendTable::Index& known = appended_.indexes_[number];
  if (known.column != InvalidAttrNumber) {
    const int at = known.column - 1;
    if (slot_->tts_isnull[at] || (known.value && *known.value != slot_->tts_values[at]))
      return true;
  }
  Relation& index = indexes_[number];
  if (index == nullptr) index = index_open(known.id, RowExclusiveLock);
  if (!index->rd_index->indisready) return true; // being built by another session
  IndexInfo* info = BuildIndexInfo(index);
  Datum values[INDEX_MAX_KEYS];
  bool nulls[INDEX_MAX_KEYS];
  FormIndexDatum(info, slot_, nullptr, values, nulls); // plain columns: no executor state needed
  const IndexUniqueCheck check = !info->ii_Unique ? UNIQUE_CHECK_NO
                                 : may_be_taken   ? UNIQUE_CHECK_PARTIAL
                                                  : UNIQUE_CHECK_YES;
  const bool is_free =
      index_insert(index, values, nulls, &slot_->tts_tid, table_, check, false, info);
#if PG_VERSION_NUM >= 170000
  index_insert_cleanup(index, info);
#endif
  return is_free || check != UNIQUE_CHECK_PARTIAL;
}

void Sequence::watch() {
  on_relation_change(
      [](Datum sequence, Oid relation) {
        Oid& id = reinterpret_cast<Sequence*>(DatumGetPointer(sequence))->id_;
        if (relation == id || relation == InvalidOid) id = InvalidOid;
      },
      PointerGetDatum(this));
}

std::int64_t Sequence::next() {
  return call([this] {
    if (!OidIsValid(id_)) id_ = relation_id(schema_, name_);
    return nextval_internal(id_, false);
  });
}

} // namespace holdfast::pg
