#pragma once

#include "extension/pg/spi.hpp"

namespace holdfast::pg {

// A table and a unique index over plain columns.
struct KeyedTable {
  const char* schema;
  const char* table;
  const char* index;
};

// One row of such a table, read and changed without the executor: for rows that have no triggers
// and no row security, on the path of every call. Semantics are those of READ COMMITTED UPDATE;
// under stricter isolation a concurrent change raises 40001 as it does there.
class KeyedRow {
public:
  static constexpr int kMostKeys = 4;

  KeyedRow(const KeyedTable& table, LOCKMODE mode);
  ~KeyedRow();
  KeyedRow(const KeyedRow&) = delete;
  KeyedRow& operator=(const KeyedRow&) = delete;

  // Reads the newest version with this key (of as many leading columns as given) that is committed
  // or our own; false when there is none. Takes no lock.
  bool fetch(const Datum* key, int count);

  // Locks what was fetched, as an UPDATE would, and reads its newest version; false when it is
  // gone.
  bool lock();

  Row row() const;
  Oid owner() const;

  // Writes these columns, counted from 1. False, with no lock kept, when another session changed
  // the row after it was read.
  bool update(const int* columns, const Datum* values, int count);

private:
  void keep(TupleTableSlot* slot);

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
