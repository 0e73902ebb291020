#pragma once

#include "extension/pg/spi.hpp"

namespace holdfast::pg {

// A table to which rows are only added, all of whose columns are given, in the order of `columns`.
// A static object: it looks itself up once and again after the table has changed.
class AppendTable {
public:
  static constexpr int kMostColumns = Parameters::kMost;

  template <std::size_t count>
  constexpr AppendTable(const char* schema, const char* table, const char* const (&columns)[count])
      : schema_(schema), table_name_(table), columns_(columns), count_(static_cast<int>(count)) {
    static_assert(count <= kMostColumns);
  }

  // Has to be called at load time: it registers for changes of the table.
  void watch();

private:
  friend class AppendedRows;
  void look_up();
  void forget_if(Oid relation);

  const char* schema_;
  const char* table_name_;
  const char* const* columns_;
  int count_;
  Oid table_ = InvalidOid;
  std::array<AttrNumber, kMostColumns> attributes_{};
  std::array<Oid, kMostColumns> enums_{}; // the column's type, if that is an enum
};

// The table, open for the rows that one call adds without the executor, which would take longer to
// start than the rows take. Indexes of every kind are kept.
class AppendedRows {
public:
  explicit AppendedRows(AppendTable& table);
  ~AppendedRows();
  AppendedRows(const AppendedRows&) = delete;
  AppendedRows& operator=(const AppendedRows&) = delete;

  // False when the table has what only the executor honours, such as a trigger of a user's or a
  // column that is not listed: then the rows have to be inserted by a statement.
  bool suffices() const { return suffices_; }

  // Adds one row of these values, as INSERT … ON CONFLICT DO NOTHING would: false when a row with
  // its key is there. An enum is given as text. `looked`: the caller has just seen that there is
  // none, which saves a look.
  bool add(const Parameters& values, bool looked);

private:
  void fill(const Parameters& values);
  bool insert(bool looked);

  const AppendTable& appended_;
  Relation table_ = nullptr;
  EState* state_ = nullptr;
  ResultRelInfo* target_ = nullptr;
  TupleTableSlot* slot_ = nullptr;
  bool suffices_ = false;
};

// The next number of a sequence.
std::int64_t next_number(const char* schema, const char* sequence);

} // namespace holdfast::pg
