#pragma once

#include "extension/pg/values.hpp"

namespace holdfast::pg {

// The arguments of one call, counted from 0. A NULL where a value is needed throws Error PT400
// naming the argument.
class Arguments {
public:
  explicit Arguments(FunctionCallInfo fcinfo) : fcinfo_(fcinfo) {}

  bool is_null(int i) const { return fcinfo_->args[i].isnull; }
  Datum required(int i, const char* name) const;
  Uuid uuid(int i, const char* name) const { return to_uuid(required(i, name)); }
  // Text longer than 255 bytes throws Error PT400.
  std::string text(int i, const char* name) const;
  std::int32_t integer(int i, const char* name) const { return DatumGetInt32(required(i, name)); }
  bool boolean(int i, const char* name) const { return DatumGetBool(required(i, name)); }
  Usd usd(int i, const char* name) const { return to_usd(required(i, name), name); }

  std::optional<Uuid> optional_uuid(int i) const;
  std::optional<std::string> optional_text(int i, const char* name) const;
  std::optional<Usd> optional_usd(int i, const char* name) const;

  // The moment `now` + interval; throws Error PT400 unless it lies within the next 24 hours.
  TimestampTz expiry(int i, const char* name, TimestampTz now) const;

  FunctionCallInfo info() const { return fcinfo_; }

private:
  FunctionCallInfo fcinfo_;
};

// The one row that a function returns: columns in order.
class ResultRow {
public:
  static constexpr int kMost = 32;

  ResultRow& add(Datum value);
  ResultRow& null();
  ResultRow& add(const Uuid& value) { return add(from_uuid(value)); }
  ResultRow& add(Usd value) { return add(from_usd(value)); }
  ResultRow& add_bool(bool value) { return add(BoolGetDatum(value)); }
  ResultRow& add_int32(std::int32_t value) { return add(Int32GetDatum(value)); }
  ResultRow& add_time(TimestampTz value) { return add(TimestampTzGetDatum(value)); }
  ResultRow& text(std::string_view value) { return add(from_text(value)); }
  ResultRow& text(const std::string& value) { return add(from_text(value)); }
  ResultRow& text(const char* value) { return add(from_text(value)); }
  ResultRow& add(const std::optional<Uuid>& value) { return value ? add(*value) : null(); }
  ResultRow& add(const std::optional<Usd>& value) { return value ? add(*value) : null(); }
  ResultRow& text(const std::optional<std::string>& value) {
    return value ? text(std::string_view(*value)) : null();
  }
  ResultRow& add_time(const std::optional<TimestampTz>& value) {
    return value ? add_time(*value) : null();
  }

  // The composite value, of a function or of one row of a set; throws Error XX000 when the columns
  // are not as the function declares.
  Datum finish(FunctionCallInfo fcinfo) const;

private:
  std::array<Datum, kMost> values_{};
  std::array<bool, kMost> nulls_{};
  int size_ = 0;
};

// Returns the rows that `make` gives, one a call of the executor; `make` runs once, at the first.
using MakeRows = std::vector<Datum> (*)(FunctionCallInfo);
Datum return_rows(FunctionCallInfo fcinfo, MakeRows make);

} // namespace holdfast::pg
