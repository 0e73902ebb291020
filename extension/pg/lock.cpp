#include "extension/pg/lock.hpp"

#include "extension/core/error.hpp"

namespace holdfast::pg {

namespace {

// Sets our locks apart from the advisory locks of users, whose fourth field is 1 or 2.
constexpr std::uint16_t kOrganizationLock = 0x4846;

} // namespace

void lock_organization(const Uuid& organization_id, LockKind kind) {
  std::array<std::uint32_t, 4> words{};
  std::memcpy(words.data(), organization_id.bytes.data(), sizeof(words));
  // Two organizations that fold to one key wait for each other's changes, and nothing worse.
  const std::uint32_t high = words[0] ^ words[2];
  const std::uint32_t low = words[1] ^ words[3];
  const LOCKMODE mode = kind == LockKind::shared ? ShareLock : ExclusiveLock;
  call([=] {
    LOCKTAG tag;
    SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, high, low, kOrganizationLock);
    static_cast<void>(LockAcquire(&tag, mode, false, false));
    AcceptInvalidationMessages();
  });
}

void invalidate_trigger_table(FunctionCallInfo fcinfo) {
  if (!CALLED_AS_TRIGGER(fcinfo)) throw Error("39P01", "this is a trigger function");
  auto* trigger = reinterpret_cast<TriggerData*>(fcinfo->context);
  call([=] { CacheInvalidateRelcache(trigger->tg_relation); });
}

void on_relation_change(void (*callback)(Datum, Oid)) {
  CacheRegisterRelcacheCallback(callback, Datum{0});
}

} // namespace holdfast::pg
