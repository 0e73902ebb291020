#include "gateway/metrics.hpp"

#include <algorithm>
#include <cstdio>
#include <dirent.h>
#include <fstream>
#include <sys/resource.h>
#include <unistd.h>

namespace holdfast::gateway {
namespace {

constexpr std::int64_t kMsPerSecond = 1000;

std::string seconds_text(std::int64_t ms) {
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%lld.%03lld", static_cast<long long>(ms / kMsPerSecond),
                static_cast<long long>(ms % kMsPerSecond));
  return text.data();
}

std::size_t count_descriptors() {
  DIR* folder = opendir("/proc/self/fd");
  if (folder == nullptr) return 0;
  std::size_t count = 0;
  while (const dirent* entry = readdir(folder))
    count += entry->d_name[0] == '.' ? 0U : 1U;
  closedir(folder);
  return count - 1; // without the folder's own
}

std::uint64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t size = 0;
  std::uint64_t resident = 0;
  file >> size >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

std::int64_t cpu_ms() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto ms = [](const timeval& time) { return time.tv_sec * 1000 + time.tv_usec / 1000; };
  return ms(usage.ru_utime) + ms(usage.ru_stime);
}

void write_process(std::string& text, std::chrono::system_clock::time_point started) {
  const auto since_1970 =
      std::chrono::duration_cast<std::chrono::seconds>(started.time_since_epoch());
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  write_single(text, "process_cpu_seconds_total", "counter", "CPU time of the process.",
               seconds_text(cpu_ms()));
  write_single(text, "process_resident_memory_bytes", "gauge", "Memory of the process.",
               std::to_string(resident_bytes()));
  write_single(text, "process_open_fds", "gauge", "Open file descriptors.",
               std::to_string(count_descriptors()));
  write_single(text, "process_max_fds", "gauge", "File descriptors that may be open.",
               std::to_string(limit.rlim_cur));
  write_single(text, "process_start_time_seconds", "gauge",
               "When the process began, in seconds since 1970.",
               std::to_string(since_1970.count()));
}

void add_one(std::atomic<std::uint64_t>& counter) {
  counter.fetch_add(1, std::memory_order_relaxed);
}

std::string value_of(const std::atomic<std::uint64_t>& counter) {
  return std::to_string(counter.load(std::memory_order_relaxed));
}

} // namespace

void Histogram::add(std::int64_t ms) {
  const auto at = std::lower_bound(kBoundsMs.begin(), kBoundsMs.end(), ms) - kBoundsMs.begin();
  add_one(bins_.at(static_cast<std::size_t>(at)));
  sum_ms_.fetch_add(std::max<std::int64_t>(ms, 0), std::memory_order_relaxed);
}

void Histogram::write(std::string& text, std::string_view name, std::string_view labels) const {
  const std::string bucket = std::string(name) + "_bucket";
  const std::string with = labels.empty() ? "" : std::string(labels) + ",";
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < bins_.size(); ++i) {
    count += bins_.at(i).load(std::memory_order_relaxed);
    const std::string bound = i < kBoundsMs.size() ? seconds_text(kBoundsMs.at(i)) : "+Inf";
    write_sample(text, bucket, with + metric_label("le", bound), std::to_string(count));
  }
  write_sample(text, std::string(name) + "_sum", labels,
               seconds_text(sum_ms_.load(std::memory_order_relaxed)));
  write_sample(text, std::string(name) + "_count", labels, std::to_string(count));
}

void Metrics::count_request(const std::string& route, int status, std::int64_t ms) {
  RouteFigures& figures = routes_.of(route);
  add_one(figures.by_status.at(static_cast<std::size_t>(std::clamp(status, 0, 599))));
  figures.duration.add(ms);
}

void Metrics::count_attempt(const std::string& provider, const std::string& outcome,
                            std::int64_t first_byte_ms) {
  ProviderFigures& figures = providers_.of(provider);
  add_one(figures.by_outcome.of(outcome));
  if (first_byte_ms >= 0) figures.first_byte.add(first_byte_ms);
}

void Metrics::count_opening(const std::string& outcome) {
  add_one(openings_.of(outcome));
}

void Metrics::count_settlement(bool landed) {
  add_one(landed ? settlements_landed_ : settlements_refused_);
}

void Metrics::count_cache(CacheEvent event) {
  add_one(cache_.at(static_cast<std::size_t>(event)));
}

std::uint64_t Metrics::cache_count(CacheEvent event) const {
  return cache_.at(static_cast<std::size_t>(event)).load(std::memory_order_relaxed);
}

void Metrics::write_cache(std::string& text) const {
  const auto count = [this](CacheEvent event) { return std::to_string(cache_count(event)); };
  write_metric(text, "holdfast_cache_hits_total", "counter",
               "Requests that were given a kept answer, by where its text was.");
  write_sample(text, "holdfast_cache_hits_total", metric_label("tier", "memory"),
               count(CacheEvent::memory_hit));
  write_sample(text, "holdfast_cache_hits_total", metric_label("tier", "database"),
               count(CacheEvent::database_hit));
  write_single(text, "holdfast_cache_misses_total", "counter",
               "Requests for which there was no kept answer.", count(CacheEvent::miss));
  write_single(text, "holdfast_cache_waits_total", "counter",
               "Requests that waited for the answer that another one was making.",
               count(CacheEvent::wait));
  write_metric(text, "holdfast_cache_answers_total", "counter",
               "Answers that were to be kept, and whether they were.");
  write_sample(text, "holdfast_cache_answers_total", metric_label("outcome", "kept"),
               count(CacheEvent::kept));
  write_sample(text, "holdfast_cache_answers_total", metric_label("outcome", "not_kept"),
               count(CacheEvent::not_kept));
}

std::string Metrics::text() const {
  std::string text;
  write_metric(text, "holdfast_build_info", "gauge", "The gateway's version.");
  write_sample(text, "holdfast_build_info", metric_label("version", HOLDFAST_VERSION), "1");
  write_metric(text, "holdfast_http_requests_total", "counter", "Requests that were answered.");
  routes_.read([&](const std::string& route, const RouteFigures& figures) {
    for (std::size_t status = 0; status < kMostStatuses; ++status) {
      if (figures.by_status.at(status).load(std::memory_order_relaxed) == 0) continue;
      write_sample(text, "holdfast_http_requests_total",
                   metric_label("route", route) + "," +
                       metric_label("status", std::to_string(status)),
                   value_of(figures.by_status.at(status)));
    }
  });
  write_metric(text, "holdfast_http_request_duration_seconds", "histogram",
               "From the first byte of a request to the last of its answer.");
  routes_.read([&](const std::string& route, const RouteFigures& figures) {
    figures.duration.write(text, "holdfast_http_request_duration_seconds",
                           metric_label("route", route));
  });
  write_metric(text, "holdfast_calls_opened_total", "counter",
               "Calls that the database was asked to open, by what it decided.");
  openings_.read([&](const std::string& outcome, const std::atomic<std::uint64_t>& count) {
    write_sample(text, "holdfast_calls_opened_total", metric_label("outcome", outcome),
                 value_of(count));
  });
  write_metric(text, "holdfast_provider_attempts_total", "counter",
               "Attempts at providers, ok or by the class of their error.");
  providers_.read([&](const std::string& provider, const ProviderFigures& figures) {
    figures.by_outcome.read(
        [&](const std::string& outcome, const std::atomic<std::uint64_t>& count) {
          write_sample(text, "holdfast_provider_attempts_total",
                       metric_label("provider", provider) + "," + metric_label("outcome", outcome),
                       value_of(count));
        });
  });
  write_metric(text, "holdfast_provider_first_byte_seconds", "histogram",
               "Until a provider's stream began, or its whole answer was there.");
  providers_.read([&](const std::string& provider, const ProviderFigures& figures) {
    figures.first_byte.write(text, "holdfast_provider_first_byte_seconds",
                             metric_label("provider", provider));
  });
  write_single(text, "holdfast_settlements_total", "counter",
               "Calls that were settled or released in the database.",
               value_of(settlements_landed_));
  write_single(text, "holdfast_settlements_refused_total", "counter",
               "Settlements that the database refused for good: the log has their figures.",
               value_of(settlements_refused_));
  write_cache(text);
  write_process(text, started_);
  return text;
}

Metrics& metrics() {
  static Metrics all;
  return all;
}

void write_metric(std::string& text, std::string_view name, std::string_view type,
                  std::string_view help) {
  text.append("# HELP ").append(name).append(" ").append(help).append("\n");
  text.append("# TYPE ").append(name).append(" ").append(type).append("\n");
}

std::string metric_label(std::string_view name, std::string_view value) {
  std::string label = std::string(name) + "=\"";
  for (const char c : value) {
    if (c == '\\' || c == '"') label += '\\';
    if (c == '\n')
      label += "\\n";
    else
      label += c;
  }
  return label + "\"";
}

void write_sample(std::string& text, std::string_view name, std::string_view labels,
                  std::string_view value) {
  text.append(name);
  if (!labels.empty()) text.append("{").append(labels).append("}");
  text.append(" ").append(value).append("\n");
}

void write_single(std::string& text, std::string_view name, std::string_view type,
                  std::string_view help, std::string_view value) {
  write_metric(text, name, type, help);
  write_sample(text, name, "", value);
}

} // namespace holdfast::gateway
