#include "extension/pg/subtransaction.hpp"

namespace holdfast::pg {

namespace {

// Where the caller was when the subtransaction began. There is never one inside another.
MemoryContext outer_context = nullptr;
ResourceOwner outer_owner = nullptr;

} // namespace

void begin_subtransaction() {
  call([] {
    MemoryContext context = CurrentMemoryContext;
    ResourceOwner owner = CurrentResourceOwner;
    BeginInternalSubTransaction(nullptr);
    MemoryContextSwitchTo(context);
    outer_context = context;
    outer_owner = owner;
  });
}

void end_subtransaction(bool keep) {
  call([=] {
    if (keep)
      ReleaseCurrentSubTransaction();
    else
      RollbackAndReleaseCurrentSubTransaction();
    MemoryContextSwitchTo(outer_context);
    CurrentResourceOwner = outer_owner;
  });
}

} // namespace holdfast::pg
