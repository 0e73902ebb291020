#include "gateway/settlement_spool.hpp"

#include "extension/core/redaction.hpp"
#include "gateway/bounded_json.hpp"
#include "gateway/ids.hpp"
#include "gateway/json_read.hpp"
#include "gateway/log.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast::gateway {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::chrono::milliseconds kRound{2000};
constexpr std::int64_t kMostStatus = 599;
constexpr const char* kPrefix = "settlements-";
constexpr const char* kSuffix = ".jsonl";

// A descriptor, closed when it goes; what was locked on it is then free.
class OpenFile {
public:
  OpenFile(const std::string& path, int flags)
      : descriptor_(open(path.c_str(), flags | O_CLOEXEC, S_IRUSR | S_IWUSR)) {}
  ~OpenFile() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  bool is_open() const { return descriptor_ >= 0; }
  bool lock() const { return flock(descriptor_, LOCK_EX | LOCK_NB) == 0; }
  bool sync() const { return fsync(descriptor_) == 0; }

  // Whether it still has a name: who had it before us may have deleted it.
  bool is_there() const {
    struct stat state {};
    return fstat(descriptor_, &state) == 0 && state.st_nlink > 0;
  }

  bool write_all(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t written = write(descriptor_, text.data(), text.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
  }

private:
  int descriptor_;
};

bool write_file(const std::string& folder, const std::string& path, std::string_view text) {
  const OpenFile file(path, O_WRONLY | O_CREAT | O_EXCL);
  if (!file.is_open() || !file.write_all(text) || !file.sync()) return false;
  const std::string last = path.substr(0, path.rfind('.'));
  if (std::rename(path.c_str(), last.c_str()) != 0) return false;
  const OpenFile whole(folder, O_RDONLY | O_DIRECTORY);
  return whole.is_open() && whole.sync();
}

// The oldest first, as far as their times tell.
std::vector<std::string> files_in(const std::string& folder) {
  std::vector<std::pair<fs::file_time_type, std::string>> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename();
    if (name.rfind(kPrefix, 0) == 0 && entry.path().extension() == kSuffix)
      found.emplace_back(entry.last_write_time(error), entry.path());
  }
  std::sort(found.begin(), found.end());
  std::vector<std::string> paths;
  for (auto& [time, path] : found)
    paths.push_back(std::move(path));
  return paths;
}

void log_trouble(const char* event, const std::string& path, const std::string& why) {
  LogRecord(LogLevel::error, event).add("path", path).message(why).write();
}

std::optional<std::string> optional_text(const json& object, const char* name) {
  const json& value = json_read::member(object, name);
  return value.is_string() ? std::optional(value.get<std::string>()) : std::nullopt;
}

template <class Value>
json json_of(const std::optional<Value>& value) {
  return value ? json(*value) : json();
}

} // namespace

std::string spool_line(const Resolution& resolution) {
  const Settlement& settlement = resolution.settlement;
  // How the provider did then is of no use later.
  std::optional<std::string> request;
  if (settlement.request) request = redacted(*settlement.request);
  return dump_json({{"kind", resolution.kind == Resolution::Kind::settle ? "settle" : "release"},
                    {"organizationId", settlement.organization_id},
                    {"holdId", settlement.hold_id},
                    {"model", settlement.model},
                    {"promptTokens", settlement.prompt_tokens},
                    {"completionTokens", settlement.completion_tokens},
                    {"cachedTokens", settlement.cached_tokens},
                    {"cacheWriteTokens", settlement.cache_write_tokens},
                    {"reasoningTokens", settlement.reasoning_tokens},
                    {"estimated", settlement.estimated},
                    {"reportedCostUSD", json_of(settlement.reported_cost_usd)}, // decimal text
                    {"answerStatus", settlement.answer_status},
                    {"answer", settlement.answer},
                    {"metadata", settlement.metadata_json},
                    {"fallbackUsed", settlement.fallback_used},
                    {"request", json_of(request)}}) +
         "\n";
}

std::optional<Resolution> read_spool_line(const std::string& line) {
  const auto object = parse_bounded_json(line);
  if (!object || !object->is_object()) return std::nullopt;
  Resolution resolution;
  Settlement& settlement = resolution.settlement;
  const std::string kind = json_read::text(*object, "kind");
  settlement.organization_id = json_read::text(*object, "organizationId");
  settlement.hold_id = json_read::text(*object, "holdId");
  if ((kind != "settle" && kind != "release") || settlement.organization_id.empty() ||
      settlement.hold_id.empty())
    return std::nullopt;
  resolution.kind = kind == "settle" ? Resolution::Kind::settle : Resolution::Kind::release;
  settlement.model = json_read::text(*object, "model");
  settlement.prompt_tokens = json_read::token_count(*object, "promptTokens");
  settlement.completion_tokens = json_read::token_count(*object, "completionTokens");
  settlement.cached_tokens = json_read::token_count(*object, "cachedTokens");
  settlement.cache_write_tokens = json_read::token_count(*object, "cacheWriteTokens");
  settlement.reasoning_tokens = json_read::token_count(*object, "reasoningTokens");
  settlement.estimated = json_read::member(*object, "estimated") == json(true);
  settlement.reported_cost_usd = optional_text(*object, "reportedCostUSD");
  settlement.answer_status = static_cast<int>(
      json_read::whole_number(json_read::member(*object, "answerStatus"), kMostStatus).value_or(0));
  settlement.answer = json_read::text(*object, "answer");
  settlement.metadata_json = json_read::text(*object, "metadata");
  settlement.fallback_used = json_read::member(*object, "fallbackUsed") == json(true);
  settlement.request = optional_text(*object, "request");
  return resolution;
}

SettlementSpool::SettlementSpool(std::string folder, SettlementQueue::Attempt attempt)
    : folder_(std::move(folder)), attempt_(std::move(attempt)) {
  if (folder_.empty()) return;
  if (access(folder_.c_str(), R_OK | W_OK | X_OK) != 0 || !fs::is_directory(folder_))
    throw std::runtime_error("the folder of --spool cannot be written to: " +
                             std::string(std::strerror(errno)));
  worker_ = std::thread([this] { work(); });
}

SettlementSpool::~SettlementSpool() {
  stop();
}

void SettlementSpool::stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (worker_.joinable()) worker_.join();
}

bool SettlementSpool::write(const std::vector<Resolution>& resolutions) {
  if (folder_.empty()) return false;
  std::string text;
  for (const Resolution& resolution : resolutions)
    text += spool_line(resolution);
  // Under another name until it is whole.
  const std::string path = folder_ + "/" + kPrefix + new_uuid() + kSuffix + ".new";
  if (write_file(folder_, path, text)) return true;
  log_trouble("spool_failed", path, std::strerror(errno));
  std::remove(path.c_str());
  return false;
}

std::size_t SettlementSpool::files() const {
  return folder_.empty() ? 0 : files_in(folder_).size();
}

bool SettlementSpool::bring_in(const std::string& path) {
  const OpenFile claimed(path, O_RDONLY);
  if (!claimed.is_open() || !claimed.lock() || !claimed.is_there()) return true; // another's
  std::ifstream file(path);
  std::string line;
  std::size_t unread = 0;
  while (std::getline(file, line)) {
    const auto resolution = read_spool_line(line);
    if (!resolution) {
      ++unread;
      continue;
    }
    if (attempt_(*resolution) == ResolutionResult::later) return false;
  }
  if (unread > 0 || file.bad()) {
    log_trouble("spool_unreadable", path + ".unreadable",
                std::to_string(unread) + " lines are no settlements that can be read");
    std::rename(path.c_str(), (path + ".unreadable").c_str());
    return true;
  }
  LogRecord(LogLevel::info, "spool_landed").add("path", path).write();
  std::remove(path.c_str());
  return true;
}

bool SettlementSpool::wait_for_next_round() {
  std::unique_lock<std::mutex> lock(mutex_);
  return !changed_.wait_for(lock, kRound, [this] { return stopping_; });
}

void SettlementSpool::work() {
  do {
    try {
      for (const std::string& path : files_in(folder_))
        if (!bring_in(path)) break;
    } catch (const std::exception& error) {
      log_trouble("spool_failed", folder_, error.what());
    }
  } while (wait_for_next_round());
}

} // namespace holdfast::gateway
