#include "gateway/providers/custom.hpp"

namespace holdfast::provider {

OpenAiCompatible::Dialect Custom::dialect() const {
  Dialect dialect;
  dialect.thinks_in_content = true;
  return dialect;
}

} // namespace holdfast::provider
