#pragma once

#include "extension/pg/spi.hpp"

namespace holdfast::pg {

// A table to which rows are only added, all of whose columns are given, in the order of `columns`.
// A static object: it looks itself up once and again after the table has changed.
class AppendTable {
public:
  static constexpr int kMostColumns = Parameters::kMost;

  // Rows of a table that is partitioned by month (UTC) go straight to the partition of their time,
  // which is named <table>_<yyyymm>, or to <table>_rest where there is none. The server tells that
  // one's users when a new partition takes a part of it.
  enum class Partitions { none, by_month };

  template <std::size_t count>
  constexpr AppendTable(const char* schema, const char* table, const char* const (&columns)[count],
                        Partitions partitions = Partitions::none)
      : schema_(schema), table_name_(table), columns_(columns), count_(static_cast<int>(count)),
        is_partitioned_(partitions == Partitions::by_month) {
    static_assert(count <= kMostColumns);
  }

  // The same, for rows of this moment. Has to be asked of a partitioned table for each row.
  AppendTable& at(TimestampTz moment);

  // Has to be called at load time: it registers for changes of the table.
  void watch();

private:
  friend class AppendedRows;
  static constexpr int kMostIndexes = 16;

  // A partial index is WHERE one column IS NOT NULL, or WHERE it equals a value of an enum.
  struct Index {
    Oid id = InvalidOid;
    AttrNumber column = InvalidAttrNumber; // none: the index has every row
    std::optional<Datum> value;
  };

  Oid find_table() const;
  void look_up();
  void look_up_columns(Relation table);
  bool look_up_indexes(Relation table);
  void forget_if(Oid relation);

  const char* schema_;
  const char* table_name_;
  const char* const* columns_;
  int count_;
  bool is_partitioned_;
  std::int32_t month_ = -1; // whose partition it is, counted from the year 0
  TimestampTz from_ = 0;    // the moments that belong to it
  TimestampTz to_ = 0;
  Oid table_ = InvalidOid;
  bool is_plain_ = false;
  int index_count_ = 0;
  std::array<Index, kMostIndexes> indexes_{};
  std::array<AttrNumber, kMostColumns> attributes_{};
  std::array<Oid, kMostColumns> enums_{}; // the column's type, if that is an enum
};

// The table, open for the rows that one call adds without the executor, which would take longer to
// start than the rows take.
class AppendedRows {
public:
  explicit AppendedRows(AppendTable& table);
  ~AppendedRows();
  AppendedRows(const AppendedRows&) = delete;
  AppendedRows& operator=(const AppendedRows&) = delete;

  // False when the table has what only the executor honours, such as a trigger of a user's, a
  // column that is not listed, or an index over an expression: then a statement has to insert.
  bool suffices() const { return appended_.is_plain_; }

  // Adds one row of these values, whose key nobody else can have. An enum is given as text.
  void add(const Parameters& values);

  // The same as INSERT … ON CONFLICT DO NOTHING would: false when a row with this key is there. The
  // caller has just seen that there is none.
  bool add_unless_taken(const Parameters& values);

private:
  void fill(const Parameters& values);
  bool insert_speculatively();
  bool insert_index_entries(bool may_be_taken);
  bool insert_index_entry(std::size_t number, bool may_be_taken);
  bool is_taken();
  void done();

  const AppendTable& appended_;
  Relation table_ = nullptr;
  std::array<Relation, AppendTable::kMostIndexes> indexes_{};
  TupleTableSlot* slot_ = nullptr;
};

// A sequence. A static object, as the tables are.
class Sequence {
public:
  constexpr Sequence(const char* schema, const char* name) : schema_(schema), name_(name) {}
  void watch();
  std::int64_t next();

private:
  const char* schema_;
  const char* name_;
  Oid id_ = InvalidOid;
};

} // namespace holdfast::pg
