// What the parsers of all providers' streams share: events of JSON, and one end.
#pragma once

#include "gateway/providers/provider.hpp"
#include "gateway/sse.hpp"

#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

namespace holdfast::provider {

class SseStreamParser : public StreamParser {
public:
  std::vector<StreamEvent> feed(std::string_view bytes) final;
  std::vector<StreamEvent> finish() final;

protected:
  // One event of the stream: its JSON, and that as it was written. `[DONE]` never comes here.
  virtual void take(const nlohmann::json& document, std::string_view text) = 0;

  // True when all has been said that must be, though the provider does not mark the end.
  virtual bool is_complete() const = 0;

  // Emits what was held back; called once, before `done`.
  virtual void flush() {}

  void emit(StreamEvent event);
  void done();
  void fail(ProviderError error);

private:
  void read(const SseEvent& received);

  SseReader reader_;
  std::vector<StreamEvent> events_;
  bool has_begun_ = false;
  bool ended_ = false;
};

} // namespace holdfast::provider
