#include "extension/pg/lock.hpp"

#include "extension/core/error.hpp"

namespace holdfast::pg {

namespace {

// Sets our locks apart from the advisory locks of users, whose fourth field is 1 or 2.
constexpr std::uint16_t kOrganizationLock = 0x4846;
constexpr std::uint16_t kEntryLock = 0x4847;
constexpr std::uint16_t kNewBudgetLock = 0x4848;

// The server has room for ten callbacks of all extensions together: we take one.
struct Watcher {
  void (*callback)(Datum, Oid);
  Datum argument;
};
std::array<Watcher, 64> watchers;
std::size_t watcher_count = 0;

void tell_watchers(Datum, Oid relation) {
  for (std::size_t i = 0; i < watcher_count; ++i)
    watchers[i].callback(watchers[i].argument, relation);
}

// Two ids that fold to one key wait for each other's changes, and nothing worse.
void lock_id(const Uuid& id, std::uint16_t lock_class, LOCKMODE mode) {
  std::array<std::uint32_t, 4> words{};
  std::memcpy(words.data(), id.bytes.data(), sizeof(words));
  const std::uint32_t high = words[0] ^ words[2];
  const std::uint32_t low = words[1] ^ words[3];
  call([=] {
    LOCKTAG tag;
    SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, high, low, lock_class);
    static_cast<void>(LockAcquire(&tag, mode, false, false));
    AcceptInvalidationMessages();
  });
}

} // namespace

void lock_organization(const Uuid& organization_id, LockKind kind) {
  lock_id(organization_id, kOrganizationLock, kind == LockKind::shared ? ShareLock : ExclusiveLock);
}

void lock_new_budgets(const Uuid& organization_id) {
  lock_id(organization_id, kNewBudgetLock, ExclusiveLock);
}

void lock_entry(const Uuid& ledger_id) {
  lock_id(ledger_id, kEntryLock, ExclusiveLock);
}

void invalidate_trigger_table(FunctionCallInfo fcinfo) {
  if (!CALLED_AS_TRIGGER(fcinfo)) throw Error("39P01", "this is a trigger function");
  auto* trigger = reinterpret_cast<TriggerData*>(fcinfo->context);
  call([=] { CacheInvalidateRelcache(trigger->tg_relation); });
}

Oid relation_id(const char* schema, const char* name) {
  const Oid relation = get_relname_relid(name, get_namespace_oid(schema, false));
  if (!OidIsValid(relation)) elog(ERROR, "relation %s.%s does not exist", schema, name);
  return relation;
}

void on_relation_change(void (*callback)(Datum, Oid), Datum argument) {
  if (watcher_count == watchers.size()) elog(FATAL, "too many watchers of tables");
  if (watcher_count == 0) CacheRegisterRelcacheCallback(tell_watchers, Datum{0});
  watchers[watcher_count++] = {callback, argument};
}

int session_number() {
#if PG_VERSION_NUM >= 170000
  return MyProcNumber;
#else
  return MyBackendId;
#endif
}

void raise_serialization_failure() {
  ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                  errmsg("could not serialize access due to concurrent update")));
}

} // namespace holdfast::pg
