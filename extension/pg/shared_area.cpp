#include "extension/pg/shared_area.hpp"

#include "extension/core/error.hpp"
#include "extension/pg/settings.hpp"

namespace holdfast::pg {

namespace {

constexpr std::size_t kMostAreas = 8;

#if PG_VERSION_NUM >= 150000
shmem_request_hook_type earlier_request = nullptr;
#endif
shmem_startup_hook_type earlier_startup = nullptr;

} // namespace

// The areas that were requested, and the hooks by which the server makes them.
struct SharedAreas {
  static std::array<SharedArea*, kMostAreas> areas;
  static std::size_t count;

  static void reserve(const SharedArea& area) {
    RequestAddinShmemSpace(area.size_());
    RequestNamedLWLockTranche(area.name_, 1);
  }

#if PG_VERSION_NUM >= 150000
  static void on_request() {
    if (earlier_request != nullptr) earlier_request();
    for (std::size_t i = 0; i < count; ++i)
      reserve(*areas[i]);
  }
#endif

  static void on_startup() {
    if (earlier_startup != nullptr) earlier_startup();
    LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
    for (std::size_t i = 0; i < count; ++i) {
      SharedArea* area = areas[i];
      bool found = false;
      area->memory_ = ShmemInitStruct(area->name_, area->size_(), &found);
      area->lock_ = &GetNamedLWLockTranche(area->name_)->lock;
      if (!found) area->initialize_(area->memory_);
    }
    LWLockRelease(AddinShmemInitLock);
    if (!IsUnderPostmaster) on_shmem_exit(on_exit, Datum{0});
  }

  // In the postmaster, once all others have ended. After a crash nothing in the memory is trusted.
  static void on_exit(int code, Datum) {
    if (code != 0) return;
    for (std::size_t i = 0; i < count; ++i)
      if (areas[i]->save_ != nullptr && areas[i]->memory_ != nullptr)
        areas[i]->save_(areas[i]->memory_);
  }

  static void hook() {
#if PG_VERSION_NUM >= 150000
    earlier_request = shmem_request_hook;
    shmem_request_hook = on_request;
#endif
    earlier_startup = shmem_startup_hook;
    shmem_startup_hook = on_startup;
  }
};

std::array<SharedArea*, kMostAreas> SharedAreas::areas{};
std::size_t SharedAreas::count = 0;

void SharedArea::request(Size (*size)(), void (*initialize)(void*), void (*save)(void*)) {
  size_ = size;
  initialize_ = initialize;
  save_ = save;
  if (!is_preloading() || SharedAreas::count == kMostAreas) return;
  if (SharedAreas::count == 0) SharedAreas::hook();
  SharedAreas::areas[SharedAreas::count++] = this;
#if PG_VERSION_NUM < 150000
  SharedAreas::reserve(*this);
#endif
}

void* SharedArea::get() const {
  if (memory_ != nullptr) return memory_;
  throw Error("55000", "Limits, breakers and latencies need the library to be preloaded.")
      .hint("Add holdfast to shared_preload_libraries in postgresql.conf and restart the server.");
}

Locked::Locked(const SharedArea& area, Mode mode) : lock_(area.lock_) {
  LWLock* lock = lock_;
  const LWLockMode wanted = mode == Mode::shared ? LW_SHARED : LW_EXCLUSIVE;
  call([=] { static_cast<void>(LWLockAcquire(lock, wanted)); });
}

Locked::~Locked() {
  LWLockRelease(lock_);
}

std::int64_t steady_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

} // namespace holdfast::pg
