#include "extension/events.hpp"

#include "extension/pg/notify.hpp"
#include "extension/pg/settings.hpp"
#include "extension/pg/values.hpp"

namespace holdfast::events {

namespace {

constexpr const char* kChannel = "holdfast_events";
constexpr std::size_t kMostPayloadBytes = 7999; // what NOTIFY takes
constexpr std::array<const char*, 4> kNames = {"denial", "settlement", "transition", "alert"};

char* setting = nullptr;

// Whether the list has this word. Words are divided by commas and spaces.
bool lists(const char* list, const char* word) {
  const std::size_t size = std::strlen(word);
  for (const char* at = list; at != nullptr && *at != '\0';) {
    const std::size_t length = std::strcspn(at, ", ");
    if (length == size && std::strncmp(at, word, size) == 0) return true;
    at += length;
    at += std::strspn(at, ", ");
  }
  return false;
}

// Runs inside the server's reading of its configuration: it must not throw.
bool has_only_kinds(char** list, void**, GucSource) {
  for (const char* at = *list; at != nullptr && *at != '\0';) {
    const std::size_t length = std::strcspn(at, ", ");
    const bool known = std::any_of(kNames.begin(), kNames.end(), [&](const char* name) {
      return std::strlen(name) == length && std::strncmp(at, name, length) == 0;
    });
    if (length > 0 && !known) return false;
    at += length;
    at += std::strspn(at, ", ");
  }
  return true;
}

} // namespace

void start() {
  pg::define({"holdfast.events",
              "What is told on the channel holdfast_events: denial, settlement, transition, alert.",
              &setting, "", has_only_kinds});
}

bool is_wanted(Kind kind) {
  return setting != nullptr && *setting != '\0' &&
         lists(setting, kNames.at(static_cast<std::size_t>(kind)));
}

void send(Kind kind, const std::optional<Uuid>& organization_id, const JsonObject& members) {
  if (!is_wanted(kind)) return;
  JsonObject head;
  head.text("event", kNames.at(static_cast<std::size_t>(kind)));
  if (organization_id) head.text("organizationId", organization_id->str());
  std::string payload = head.str();
  const std::string rest = members.str();
  if (rest.size() > 2 && payload.size() + rest.size() <= kMostPayloadBytes)
    payload = payload.substr(0, payload.size() - 1) + "," + rest.substr(1);
  pg::notify(kChannel, payload);
}

} // namespace holdfast::events
