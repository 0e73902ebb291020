#include "extension/pg/keyed_row.hpp"

#include "extension/pg/lock.hpp"

namespace holdfast::pg {

namespace {

Snapshot newest_snapshot() {
  return IsolationUsesXactSnapshot() ? GetTransactionSnapshot() : GetLatestSnapshot();
}

IndexScanDesc begin_scan(Relation table, Relation index, Snapshot snapshot, int keys) {
#if PG_VERSION_NUM >= 180000
  return index_beginscan(table, index, snapshot, nullptr, keys, 0);
#else
  return index_beginscan(table, index, snapshot, keys, 0);
#endif
}

// The table's fillfactor leaves room for many versions of a row. The server would clear a page of
// its dead versions as soon as that room is touched, at nearly every look; once it is used up is
// soon enough. (Read without a lock, as a hint, as the server does.)
bool is_nearly_full(Page page) {
  return PageIsFull(page) || PageGetHeapFreeSpace(page) < BLCKSZ / 10;
}

// A version that found no room on its page needs entries of its own in every index.
void insert_index_entries(Relation table, TupleTableSlot* slot) {
  List* indexes = RelationGetIndexList(table);
  ListCell* cell = nullptr;
  foreach (cell, indexes) {
    const Relation index = index_open(lfirst_oid(cell), RowExclusiveLock);
    IndexInfo* info = BuildIndexInfo(index);
    Datum values[INDEX_MAX_KEYS];
    bool nulls[INDEX_MAX_KEYS];
    FormIndexDatum(info, slot, nullptr, values, nulls); // plain columns: no executor state needed
    index_insert(index, values, nulls, &slot->tts_tid, table,
                 info->ii_Unique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO, true, info);
    index_close(index, RowExclusiveLock);
  }
  list_free(indexes);
}

} // namespace

void KeyedTable::watch() {
  on_relation_change(
      [](Datum table, Oid relation) {
        reinterpret_cast<KeyedTable*>(DatumGetPointer(table))->forget_if(relation);
      },
      PointerGetDatum(this));
}

// Runs inside the server's invalidation machinery: it must neither throw nor touch the catalog.
void KeyedTable::forget_if(Oid relation) {
  if (relation == table_ || relation == InvalidOid) table_ = InvalidOid;
}

void KeyedTable::look_up() {
  if (OidIsValid(table_)) return;
  const Oid found = relation_id(schema_, table_name_);
  const Relation table = table_open(found, AccessShareLock);
  const bool is_heap = table->rd_tableam == GetHeapamTableAmRoutine();
  table_close(table, AccessShareLock);
  if (!is_heap) elog(ERROR, "relation %s.%s is not stored as a heap", schema_, table_name_);
  index_ = relation_id(schema_, index_name_);
  const Relation index = index_open(index_, AccessShareLock);
  for (int i = 0; i < index->rd_index->indnkeyatts && i < kMostKeys; ++i) {
    const Oid type = index->rd_opcintype[i];
    equal_[static_cast<std::size_t>(i)] =
        get_opcode(get_opfamily_member(index->rd_opfamily[i], type, type, BTEqualStrategyNumber));
  }
  index_close(index, AccessShareLock);
  table_ = found;
}

KeyedRow::KeyedRow(KeyedTable& table, LOCKMODE mode) : keyed_(table) {
  KeyedTable* keyed = &table;
  call([this, keyed, mode] {
    if (mode >= RowExclusiveLock) PreventCommandIfReadOnly("UPDATE"); // as the executor would
    for (;;) { // again where the table changed while we waited for it
      keyed->look_up();
      table_ = table_open(keyed->table_, mode);
      if (OidIsValid(keyed->table_)) break;
      table_close(table_, mode);
    }
    index_ = index_open(keyed->index_, mode);
  });
}

KeyedRow::~KeyedRow() {
  if (slot_ != nullptr) ExecDropSingleTupleTableSlot(slot_);
  index_close(index_, NoLock); // the lock goes with the transaction
  table_close(table_, NoLock);
}

void KeyedRow::need_slot() { // what is only read needs none
  if (slot_ == nullptr) slot_ = table_slot_create(table_, nullptr);
}

void KeyedRow::keep(TupleTableSlot* slot) {
  tuple_ = ExecCopySlotHeapTuple(slot);
  tid_ = slot->tts_tid;
}

// Reads the version that the snapshot sees in the chain that begins at `root`.
bool KeyedRow::read_chain(ItemPointerData root, Snapshot snapshot, bool* all_dead) {
  const Buffer buffer = ReadBuffer(table_, ItemPointerGetBlockNumber(&root));
  if (is_nearly_full(BufferGetPage(buffer))) heap_page_prune_opt(table_, buffer);
  LockBuffer(buffer, BUFFER_LOCK_SHARE);
  HeapTupleData tuple{};
  const bool found =
      heap_hot_search_buffer(&root, table_, buffer, snapshot, &tuple, all_dead, true);
  if (found) {
    tuple_ = heap_copytuple(&tuple);
    tid_ = tuple.t_self;
  }
  UnlockReleaseBuffer(buffer);
  return found;
}

bool KeyedRow::scan(const Datum* key, int count, Snapshot snapshot) {
  ScanKeyData keys[KeyedTable::kMostKeys];
  for (int i = 0; i < count; ++i)
    ScanKeyInit(&keys[i], static_cast<AttrNumber>(i + 1), BTEqualStrategyNumber,
                keyed_.equal_[static_cast<std::size_t>(i)], key[i]);
  const IndexScanDesc scan = begin_scan(table_, index_, snapshot, count);
  index_rescan(scan, keys, count, nullptr, 0);
  bool found = false;
  while (!found) {
    const ItemPointer root = index_getnext_tid(scan, ForwardScanDirection);
    if (root == nullptr) break;
    found = read_chain(*root, snapshot, &scan->kill_prior_tuple);
  }
  index_endscan(scan);
  return found;
}

bool KeyedRow::fetch(const Datum* key, int count) {
  return call([this, key, count] {
    const Snapshot snapshot = RegisterSnapshot(newest_snapshot());
    const bool found = scan(key, count, snapshot);
    UnregisterSnapshot(snapshot);
    return found;
  });
}

bool KeyedRow::fetch_seen(const Datum* key, int count) {
  return call([this, key, count] { return scan(key, count, GetActiveSnapshot()); });
}

bool KeyedRow::lock() {
  return call([this] {
    need_slot();
    TM_FailureData failure;
    const Snapshot snapshot = RegisterSnapshot(newest_snapshot());
    const TM_Result result = table_tuple_lock(
        table_, &tid_, snapshot, slot_, GetCurrentCommandId(false), LockTupleNoKeyExclusive,
        LockWaitBlock, TUPLE_LOCK_FLAG_FIND_LAST_VERSION, &failure);
    UnregisterSnapshot(snapshot);
    if (result == TM_Deleted) return false;
    if (result != TM_Ok) elog(ERROR, "could not lock a row: %d", static_cast<int>(result));
    if (IsolationUsesXactSnapshot() && failure.traversed) raise_serialization_failure();
    keep(slot_);
    ExecClearTuple(slot_);
    return true;
  });
}

Row KeyedRow::row() const {
  return {tuple_, RelationGetDescr(table_)};
}

Oid KeyedRow::owner() const {
  return table_->rd_rel->relowner;
}

bool KeyedRow::update(const int* columns, const Datum* values, int count, bool waits) {
  return call([this, columns, values, count, waits] {
    need_slot();
    const bool nulls[MaxTupleAttributeNumber] = {};
    const HeapTuple changed = heap_modify_tuple_by_cols(
        tuple_, RelationGetDescr(table_), count, const_cast<int*>(columns),
        const_cast<Datum*>(values), const_cast<bool*>(nulls));
    ExecForceStoreHeapTuple(changed, slot_, false);
    slot_->tts_tableOid = RelationGetRelid(table_);
    TM_FailureData failure;
    LockTupleMode mode = LockTupleNoKeyExclusive;
#if PG_VERSION_NUM >= 160000
    TU_UpdateIndexes indexes = TU_None;
#else
    bool indexes = false;
#endif
    const TM_Result result =
        table_tuple_update(table_, &tid_, slot_, GetCurrentCommandId(true), InvalidSnapshot,
                           InvalidSnapshot, waits, &failure, &mode, &indexes);
    if (result == TM_Ok) {
      if (indexes) insert_index_entries(table_, slot_);
      ExecClearTuple(slot_);
      CommandCounterIncrement();
      return true;
    }
    ExecClearTuple(slot_);
    if (result == TM_BeingModified && !waits) return false;
    if (result != TM_Updated && result != TM_Deleted)
      elog(ERROR, "could not update a row: %d", static_cast<int>(result));
    if (IsolationUsesXactSnapshot()) raise_serialization_failure();
    return false;
  });
}

ActingAs::ActingAs(Oid role) {
  GetUserIdAndSecContext(&caller_, &context_);
  SetUserIdAndSecContext(role, context_ | SECURITY_LOCAL_USERID_CHANGE);
}

ActingAs::~ActingAs() {
  SetUserIdAndSecContext(caller_, context_);
}

} // namespace holdfast::pg
