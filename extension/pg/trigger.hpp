#pragma once

#include "extension/pg/boundary.hpp"

namespace holdfast::pg {

// What fired a row's AFTER trigger.
struct RowChange {
  bool is_insert = false;
  // The text column of the old row and of the new one, as far as there are such rows.
  std::vector<std::string> values;
};

// Throws Error 39P01 when the function was not called by a row's trigger.
RowChange row_change(FunctionCallInfo fcinfo, const char* text_column);

// Tells this transaction from any other that this server process runs.
std::uint64_t transaction_number();

} // namespace holdfast::pg
