#pragma once

#include "extension/pg/boundary.hpp"

namespace holdfast::pg {

void begin_subtransaction();
void end_subtransaction(bool keep);

// Runs `attempt` in a subtransaction. When it returns false, or throws, all that it did is undone,
// and the locks that it took are free again.
template <class Attempt>
bool attempt_or_undo(Attempt attempt) {
  begin_subtransaction();
  bool done = false;
  try {
    done = attempt();
  } catch (...) {
    end_subtransaction(false);
    throw;
  }
  end_subtransaction(done);
  return done;
}

} // namespace holdfast::pg
