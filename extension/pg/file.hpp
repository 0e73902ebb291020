#pragma once

#include "extension/pg/postgres.hpp"

// Small files in the server's data folder, also where there is no transaction. Trouble goes to the
// server's log; none of it throws.
namespace holdfast::pg {

struct FileBytes {
  std::unique_ptr<char[]> bytes; // none when there is no such file, or no memory for it
  std::size_t count = 0;
};
FileBytes read_file(const char* path) noexcept;

// Replaces the file as a whole, or leaves it as it was.
bool write_file(const char* path, const char* bytes, std::size_t count) noexcept;

} // namespace holdfast::pg
