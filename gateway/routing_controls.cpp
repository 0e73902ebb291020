#include "gateway/routing_controls.hpp"

namespace holdfast::gateway {

void split_model(const Config& config, CallOrder& order) {
  const std::size_t slash = order.chat.model.find('/');
  if (slash == std::string::npos || slash + 1 == order.chat.model.size()) return;
  const std::string prefix = order.chat.model.substr(0, slash);
  if (!find_provider_config(config, prefix)) return;
  order.provider = prefix;
  order.chat.model.erase(0, slash + 1);
}

} // namespace holdfast::gateway
