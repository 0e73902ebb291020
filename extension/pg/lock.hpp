#pragma once

#include "extension/core/uuid.hpp"
#include "extension/pg/boundary.hpp"

namespace holdfast::pg {

enum class LockKind { shared, exclusive };

// Locks an organization's budgets until the transaction ends, and then takes in what other
// sessions have committed: cached facts about budgets are fresh after it.
void lock_organization(const Uuid& organization_id, LockKind kind);

// Keeps other sessions from making budgets of this organization until the transaction ends.
void lock_new_budgets(const Uuid& organization_id);

// Keeps other refunds of this ledger entry waiting until the transaction ends.
void lock_entry(const Uuid& ledger_id);

// Tells every server process that the table of this trigger call has changed.
void invalidate_trigger_table(FunctionCallInfo fcinfo);

// The number of a table, index or sequence. Raises an error when there is none. Only inside call().
Oid relation_id(const char* schema, const char* name);

// Registers a callback for changed tables. It must neither throw nor touch the catalog.
void on_relation_change(void (*callback)(Datum, Oid), Datum argument = Datum{0});

// The number of this session among those that run now, from 0 on; another gets it after us.
int session_number();

// Raises 40001, as an UPDATE does under REPEATABLE READ. Only inside call().
void raise_serialization_failure();

} // namespace holdfast::pg
