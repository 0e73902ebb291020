#pragma once

#include "extension/pg/boundary.hpp"

namespace holdfast::pg {

// A part of the server's shared memory, under one lock. It exists only where the library is in
// shared_preload_libraries. A static object.
class SharedArea {
public:
  constexpr explicit SharedArea(const char* name) : name_(name) {}

  // At load time. `size` is asked and `initialize` called at the server's start, and again when it
  // starts anew after a crash; neither may throw. `save`, if any, is called when it stops in peace.
  void request(Size (*size)(), void (*initialize)(void*), void (*save)(void*) = nullptr);

  bool is_there() const { return memory_ != nullptr; }
  // The memory. Throws Error 55000 where there is none.
  void* get() const;

private:
  friend class Locked;
  friend struct SharedAreas;
  const char* name_;
  Size (*size_)() = nullptr;
  void (*initialize_)(void*) = nullptr;
  void (*save_)(void*) = nullptr;
  void* memory_ = nullptr;
  LWLock* lock_ = nullptr;
};

// Holds an area's lock. While one lives, nothing may throw, allocate or call the server.
class Locked {
public:
  enum class Mode { shared, exclusive };
  Locked(const SharedArea& area, Mode mode);
  ~Locked();
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;

private:
  LWLock* lock_;
};

// Microseconds of a clock that all processes of this machine share and that never goes back.
std::int64_t steady_us();

} // namespace holdfast::pg
