#pragma once

#include "extension/pg/spi.hpp"

namespace holdfast::pg {

// A table and a unique index over plain columns, at most four. A static object: it looks itself up
// once and again after the table has changed.
class KeyedTable {
public:
  static constexpr int kMostKeys = 4;

  constexpr KeyedTable(const char* schema, const char* table, const char* index)
      : schema_(schema), table_name_(table), index_name_(index) {}

  // Has to be called at load time: it registers for changes of the table.
  void watch();

private:
  friend class KeyedRow;
  void look_up();
  void forget_if(Oid relation);

  const char* schema_;
  const char* table_name_;
  const char* index_name_;
  Oid table_ = InvalidOid;
  Oid index_ = InvalidOid;
  std::array<RegProcedure, kMostKeys> equal_{};
};

// One row of such a table, read and changed without the executor, on the path of every call: no
// trigger fires and no row security is asked, the caller answers for both. Semantics are those of
// READ COMMITTED UPDATE; under stricter isolation a concurrent change raises 40001 as it does
// there.
class KeyedRow {
public:
  KeyedRow(KeyedTable& table, LOCKMODE mode);
  ~KeyedRow();
  KeyedRow(const KeyedRow&) = delete;
  KeyedRow& operator=(const KeyedRow&) = delete;

  // Reads the newest version with this key (of as many leading columns as given) that is committed
  // or our own; false when there is none. Takes no lock.
  bool fetch(const Datum* key, int count);
  // Reads the version that the calling query sees.
  bool fetch_seen(const Datum* key, int count);

  // Locks what was fetched, as an UPDATE would, and reads its newest version; false when it is
  // gone.
  bool lock();

  Row row() const;
  Oid owner() const;

  // Writes these columns, counted from 1. False, with no lock kept, when another session changed
  // the row after it was read, or, without `waits`, is changing it.
  bool update(const int* columns, const Datum* values, int count, bool waits = true);

private:
  bool scan(const Datum* key, int count, Snapshot snapshot);
  bool read_chain(ItemPointerData root, Snapshot snapshot, bool* all_dead);
  void need_slot();
  void keep(TupleTableSlot* slot);

  const KeyedTable& keyed_;

  Relation table_ = nullptr;
  Relation index_ = nullptr;
  TupleTableSlot* slot_ = nullptr;
  HeapTuple tuple_ = nullptr;
  ItemPointerData tid_{};
};

// Acts as another role, such as a table's owner, until it is gone. What runs meanwhile must not
// look up names or operators in the caller's search_path.
class ActingAs {
public:
  explicit ActingAs(Oid role);
  ~ActingAs();
  ActingAs(const ActingAs&) = delete;
  ActingAs& operator=(const ActingAs&) = delete;

private:
  Oid caller_ = InvalidOid;
  int context_ = 0;
};

} // namespace holdfast::pg
