#pragma once

#include "extension/pg/boundary.hpp"

namespace holdfast::pg {

// Whether PostgREST set claims for this transaction.
bool has_claims();

// A text member of the claims, nullopt when absent or not text.
std::optional<std::string> claim(std::string_view name);

// Whether the role that the caller has taken (not the owner of a function it is in) has the profile
// operator. Throws where that cannot be told.
bool caller_is_operator();

// Makes PostgREST answer with this HTTP status, whatever else the transaction does.
void set_response_status(int status);

} // namespace holdfast::pg
