// The settings in force, which a reload replaces as a whole.
#pragma once

#include "gateway/config.hpp"

#include <memory>
#include <mutex>

namespace holdfast::gateway {

// Whoever reads more than one setting, or keeps a pointer into them, holds on to one snapshot: a
// call ends with the settings that it began with.
class LiveConfig {
public:
  explicit LiveConfig(Config config);

  std::shared_ptr<const Config> now() const;
  void replace(Config config);

private:
  mutable std::mutex mutex_;
  std::shared_ptr<const Config> config_;
};

} // namespace holdfast::gateway
