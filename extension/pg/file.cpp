#include "extension/pg/file.hpp"

namespace holdfast::pg {

namespace {

void tell(const char* what, const char* path) {
  const char* why = strerror(errno);
  ereport(LOG,
          (errcode_for_file_access(), errmsg("could not %s file \"%s\": %s", what, path, why)));
}

} // namespace

FileBytes read_file(const char* path) noexcept {
  FileBytes content;
  FILE* file = AllocateFile(path, PG_BINARY_R);
  if (file == nullptr) {
    if (errno != ENOENT) tell("open", path);
    return content;
  }
  struct stat about {};
  if (fstat(fileno(file), &about) == 0) {
    content.count = static_cast<std::size_t>(about.st_size);
    content.bytes = std::unique_ptr<char[]>(new (std::nothrow) char[content.count + 1]);
  }
  if (content.bytes != nullptr &&
      fread(content.bytes.get(), 1, content.count, file) != content.count) {
    tell("read", path);
    content.bytes.reset();
  }
  FreeFile(file);
  return content;
}

bool write_file(const char* path, const char* bytes, std::size_t count) noexcept {
  std::array<char, MAXPGPATH> fresh{};
  snprintf(fresh.data(), fresh.size(), "%s.tmp", path);
  FILE* file = AllocateFile(fresh.data(), PG_BINARY_W);
  if (file == nullptr) {
    tell("create", fresh.data());
    return false;
  }
  const bool written = fwrite(bytes, 1, count, file) == count;
  if (!written) tell("write", fresh.data());
  const bool closed = FreeFile(file) == 0;
  if (!closed) tell("close", fresh.data());
  if (written && closed) return durable_rename(fresh.data(), path, LOG) == 0;
  unlink(fresh.data());
  return false;
}

} // namespace holdfast::pg
