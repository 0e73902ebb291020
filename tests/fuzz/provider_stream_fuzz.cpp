// Every adapter's reading of a stream: wherever it is cut, the same events, one end, and each front
// door can say them.
#include "tests/fuzz/answer_checks.hpp"
#include "tests/fuzz/provider_input.hpp"
#include "tests/gateway/describe.hpp"

namespace {

std::vector<holdfast::StreamEvent> read(const holdfast::provider::Adapter& adapter,
                                        const std::vector<std::string_view>& pieces) {
  const auto parser = adapter.stream_parser();
  std::vector<holdfast::StreamEvent> events;
  for (const std::string_view piece : pieces)
    for (auto& event : parser->feed(piece))
      events.push_back(std::move(event));
  for (auto& event : parser->finish())
    events.push_back(std::move(event));
  return events;
}

std::string shown(const std::vector<holdfast::StreamEvent>& events) {
  std::string text;
  for (const auto& event : events)
    text += event.id + " " + event.model + " " + std::to_string(event.created) + " " +
            holdfast::test::describe(event) + "\n";
  return text;
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = holdfast::fuzz::provider_input(holdfast::fuzz::text_of(data, size));
  if (!input) return 0;
  const std::string& body = input->answer.body;
  const auto events = read(*input->adapter, {body});
  holdfast::fuzz::StreamChecks checks;
  for (const auto& event : events)
    checks.take(event);
  checks.finish();
  holdfast::fuzz::require(shown(read(*input->adapter, holdfast::fuzz::pieces_of(body))) ==
                              shown(events),
                          "any split gives the same events");
  return 0;
}
