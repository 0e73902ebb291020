// The seam between the gateway and the providers. An adapter turns structs into bytes and back: no
// I/O, no clock, no state, so that one instance serves all threads.
#pragma once

#include "gateway/chat.hpp"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace holdfast::provider {

// A request to a provider. `path` is appended to the base URL, which has no slash at its end.
struct HttpRequest {
  std::string method;
  std::string path;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
};

// An answer of a provider, whole. Header names are in lower case.
struct HttpAnswer {
  int status = 0;
  std::multimap<std::string, std::string> headers;
  std::string body;
};

// The state of one stream. Any split of the bytes gives the same events. After a `done` or an
// `error` event there are no more.
class StreamParser {
public:
  StreamParser() = default;
  StreamParser(const StreamParser&) = delete;
  StreamParser& operator=(const StreamParser&) = delete;
  virtual ~StreamParser() = default;

  // Takes the next bytes of the body and returns the events they complete, maybe none.
  virtual std::vector<StreamEvent> feed(std::string_view bytes) = 0;

  // The provider closed the stream: the last events, with an error when it ended too early.
  virtual std::vector<StreamEvent> finish() = 0;
};

// What a request asks for and a provider cannot do. `capability` is snake_case and stays the same
// for all providers; `param` is the member of OpenAI's request that asks for it.
struct UnsupportedFeature {
  std::string capability;
  std::string param;
};

// One provider's dialect. Never throws for what a provider sent: that is a ProviderError.
class Adapter {
public:
  Adapter() = default;
  Adapter(const Adapter&) = delete;
  Adapter& operator=(const Adapter&) = delete;
  virtual ~Adapter() = default;

  // The first thing this request asks for that the provider cannot do; to be asked before the call.
  // What is only a hint or a label to the provider is left out of the call instead.
  virtual std::optional<UnsupportedFeature> unsupported(const ChatRequest& request) const = 0;

  // The HTTP request for this call; streaming when `request.stream`.
  virtual HttpRequest chat_request(const ChatRequest& request,
                                   const std::string& api_key) const = 0;

  // A request that costs nothing and that a key which is not good is refused: a list of models,
  // mostly.
  virtual HttpRequest health_request(const std::string& api_key) const = 0;

  // The answer to a request that was not streamed, of any status.
  virtual std::variant<ChatAnswer, ProviderError> parse_chat(const HttpAnswer& answer) const = 0;

  // The classified error of an answer whose status is not 200. Tolerates any body.
  virtual ProviderError parse_error(const HttpAnswer& answer) const = 0;

  // A fresh parser for one streamed answer of status 200.
  virtual std::unique_ptr<StreamParser> stream_parser() const = 0;
};

} // namespace holdfast::provider
