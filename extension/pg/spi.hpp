#pragma once

#include "extension/pg/values.hpp"

namespace holdfast::pg {

// The connection of one function call to the server's SQL. Results that are to outlive it, such as
// the function's own row, are made after it is gone.
class Spi {
public:
  Spi();
  ~Spi();
  Spi(const Spi&) = delete;
  Spi& operator=(const Spi&) = delete;

private:
  int exceptions_at_entry_;
};

// One row of a result: columns are counted from 1. Valid until the Spi is gone.
class Row {
public:
  Row(HeapTuple tuple, TupleDesc shape) : tuple_(tuple), shape_(shape) {}

  bool is_null(int column) const;
  Datum datum(int column) const; // of a column that is not NULL
  Uuid uuid(int column) const { return to_uuid(datum(column)); }
  std::string text(int column) const { return to_text(datum(column)); }
  Usd usd(int column) const { return stored_usd(datum(column)); }
  std::int16_t smallint(int column) const { return DatumGetInt16(datum(column)); }
  std::int32_t integer(int column) const { return DatumGetInt32(datum(column)); }
  std::int64_t bigint(int column) const { return DatumGetInt64(datum(column)); }
  bool boolean(int column) const { return DatumGetBool(datum(column)); }

  std::optional<Usd> optional_usd(int column) const;
  std::optional<Uuid> optional_uuid(int column) const;
  std::optional<std::string> optional_text(int column) const;

private:
  HeapTuple tuple_;
  TupleDesc shape_;
};

class Rows {
public:
  Rows(SPITupleTable* table, std::uint64_t count) : table_(table), count_(count) {}
  std::uint64_t size() const { return count_; }
  bool empty() const { return count_ == 0; }
  Row operator[](std::uint64_t i) const { return {table_->vals[i], table_->tupdesc}; }

private:
  SPITupleTable* table_;
  std::uint64_t count_;
};

// The values of a statement's parameters, $1 first.
class Parameters {
public:
  static constexpr int kMost = 40;

  Parameters& add(Datum value);
  Parameters& null();
  Parameters& add(const Uuid& value) { return add(from_uuid(value)); }
  Parameters& add(Usd value) { return add(from_usd(value)); }
  Parameters& text(std::string_view value) { return add(from_text(value)); }
  Parameters& text(const std::string& value) { return add(from_text(value)); }
  Parameters& text(const char* value) { return add(from_text(value)); }
  Parameters& date(std::int32_t day) { return add(DateADTGetDatum(day)); }
  Parameters& add_int16(std::int16_t value) { return add(Int16GetDatum(value)); }
  Parameters& add_int32(std::int32_t value) { return add(Int32GetDatum(value)); }
  Parameters& add_int64(std::int64_t value) { return add(Int64GetDatum(value)); }
  Parameters& add_bool(bool value) { return add(BoolGetDatum(value)); }
  Parameters& add(const std::optional<Uuid>& value) { return value ? add(*value) : null(); }
  Parameters& add(const std::optional<Usd>& value) { return value ? add(*value) : null(); }
  Parameters& text(const std::optional<std::string>& value) {
    return value ? text(std::string_view(*value)) : null();
  }

  int size() const { return size_; }
  const Datum* values() const { return values_.data(); }
  const char* nulls() const { return nulls_.data(); }

private:
  std::array<Datum, kMost> values_{};
  std::array<char, kMost> nulls_{};
  int size_ = 0;
};

// One SQL statement whose plan is made at its first use and kept by this server process. A static
// object: it is never destroyed, and the server replans by itself when a table changes.
class Statement {
public:
  explicit constexpr Statement(const char* sql) : sql_(sql), types_(nullptr), type_count_(0) {}

  template <std::size_t count>
  constexpr Statement(const char* sql, const Oid (&types)[count])
      : sql_(sql), types_(types), type_count_(static_cast<int>(count)) {}

  Rows run(const Parameters& parameters = {});   // may write; sees all that is committed by now
  Rows query(const Parameters& parameters = {}); // only reads, in the caller's snapshot

private:
  Rows execute(const Parameters& parameters, bool read_only);
  void prepare();

  const char* sql_;
  const Oid* types_;
  int type_count_;
  SPIPlanPtr plan_ = nullptr;
  std::int64_t uses_ = 0;
  std::int64_t next_plan_ = 0; // the use at which it is planned anew
  int running_ = 0;            // a statement's triggers may run it again
};

} // namespace holdfast::pg
