// The SQL function over the core's redaction.
#include "extension/core/redaction.hpp"

#include "extension/pg/arguments.hpp"

using namespace holdfast;

HOLDFAST_FUNCTION(holdfast_redact_text) {
  const pg::Arguments arguments(fcinfo);
  return pg::from_text(redacted(pg::to_text(arguments.required(0, "p_text"))));
}
