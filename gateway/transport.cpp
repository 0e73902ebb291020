#include "gateway/transport.hpp"

#include "gateway/transport_pool.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>
#include <cstdio>
#include <exception>
#include <new>
#include <string_view>
#include <utility>

namespace holdfast::gateway {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr int kClientPollMs = 100;
constexpr std::size_t kMaxHeaderBytes = 65536;
// Many servers close a connection that was idle for a minute.
constexpr long kLongestIdleSeconds = 30;

std::string url_part(CURLU* url, CURLUPart part, unsigned int flags) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return {};
  std::string copy(text);
  curl_free(text);
  return copy;
}

// scheme://host:port, without the rest of the URL, which may hold secrets; "" for what is no http
// URL.
std::string origin_of(const std::string& url) {
  const CurlUrl parsed(curl_url());
  if (!parsed) throw std::bad_alloc();
  if (curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return {};
  const std::string scheme = url_part(parsed.get(), CURLUPART_SCHEME, 0);
  if (scheme != "http" && scheme != "https") return {};
  return scheme + "://" + url_part(parsed.get(), CURLUPART_HOST, 0) + ":" +
         url_part(parsed.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT);
}

bool breaks_line(const std::string& text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos;
}

std::string lower(std::string_view text) {
  std::string copy(text);
  std::transform(copy.begin(), copy.end(), copy.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return copy;
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

} // namespace

// Everything of one exchange. libcurl holds pointers into it, so it never moves.
class ExchangeState {
public:
  ExchangeState(std::shared_ptr<TransportPool> pool, TransportRequest request,
                const TransportLimits& limits, std::function<bool()> client_gone);
  ExchangeState(const ExchangeState&) = delete;
  ExchangeState& operator=(const ExchangeState&) = delete;
  ~ExchangeState();

  std::optional<ProviderError> wait_headers();
  std::variant<std::string, BodyEnd, ProviderError> read();
  void drain(int wait_ms);
  int status() const { return status_; }
  const std::multimap<std::string, std::string>& headers() const { return headers_; }

private:
  static std::size_t on_header(char* bytes, std::size_t size, std::size_t count, void* self);
  static std::size_t on_body(char* bytes, std::size_t size, std::size_t count, void* self);
  static int on_request(void* self, char* server_ip, char* own_ip, int server_port, int own_port);

  using Taker = bool (ExchangeState::*)(std::string_view);
  std::size_t take(Taker taker, std::string_view bytes) noexcept;

  void configure();
  CurlList header_list() const;
  bool take_header(std::string_view line);
  bool take_body(std::string_view bytes);
  bool over() const { return complete_ || failure_.has_value(); }
  void receive();
  void wait();
  void check_client();
  void check_deadlines();
  long sent_bytes() const;
  bool has_sent() const;
  void fail(ErrorClass error_class, const std::string& what);
  void fail_as_curl_says(CURLcode result);
  int remaining_ms() const;

  std::shared_ptr<TransportPool> pool_;
  TransportRequest request_;
  TransportLimits limits_;
  std::function<bool()> client_gone_;
  CurlList header_list_;
  std::array<char, CURL_ERROR_SIZE> curl_words_{};

  Clock::time_point start_ = Clock::now();
  Clock::time_point last_receipt_ = start_;
  Clock::time_point last_client_check_ = start_;

  std::optional<long> sent_before_; // the request: what a proxy was told
  int status_ = 0;
  std::multimap<std::string, std::string> headers_;
  std::size_t header_bytes_ = 0;
  bool headers_complete_ = false;
  std::string received_;
  std::size_t body_bytes_ = 0;
  bool complete_ = false;
  std::optional<ProviderError> failure_;
  std::exception_ptr thrown_;
  // The last member: it goes first, while what its options point to is still there.
  Line line_;
};

ExchangeState::ExchangeState(std::shared_ptr<TransportPool> pool, TransportRequest request,
                             const TransportLimits& limits, std::function<bool()> client_gone)
    : pool_(std::move(pool)), request_(std::move(request)), limits_(limits),
      client_gone_(std::move(client_gone)) {
  line_.origin = origin_of(request_.url);
  if (line_.origin.empty()) fail(ErrorClass::network, "is no valid http or https URL");
  for (const auto& [name, value] : request_.headers)
    if (breaks_line(name) || breaks_line(value))
      fail(ErrorClass::invalid_request, "was not called: a header contains a line break");
  if (failure_) return;
  line_ = pool_->take(line_.origin);
  configure();
  receive();
}

ExchangeState::~ExchangeState() {
  if (!line_.multi) return;
  curl_multi_remove_handle(line_.multi.get(), line_.easy.get());
  if (!complete_) return;
  // Forgets this exchange's options and pointers, but not the connection.
  curl_easy_reset(line_.easy.get());
  pool_->give_back(std::move(line_));
}

void ExchangeState::configure() {
  CURL* easy = line_.easy.get();
  header_list_ = header_list();
  curl_easy_setopt(easy, CURLOPT_URL, request_.url.c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "holdfast-gateway/" HOLDFAST_VERSION);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(limits_.connect_timeout_ms));
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, header_list_.get());
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, curl_words_.data());
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, &ExchangeState::on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &ExchangeState::on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, this);
  curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, &ExchangeState::on_request);
  curl_easy_setopt(easy, CURLOPT_PREREQDATA, this);
  if (request_.method == "POST") {
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(request_.body.size()));
    // From memory, so that a small body goes out in one packet with the headers.
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request_.body.data());
    curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, kLongestIdleSeconds);
  } else {
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request_.method.c_str());
  }
  if (curl_multi_add_handle(line_.multi.get(), easy) != CURLM_OK) throw std::bad_alloc();
}

CurlList ExchangeState::header_list() const {
  CurlList list;
  const auto append = [&](const std::string& line) {
    curl_slist* longer = curl_slist_append(list.get(), line.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    static_cast<void>(list.release());
    list.reset(longer);
  };
  // Without it libcurl waits up to a second for a 100 before it sends a large body.
  append("Expect:");
  for (const auto& [name, value] : request_.headers)
    append(std::string(name).append(": ").append(value));
  return list;
}

// libcurl sends a request again by itself when a kept connection closes before an answer. What the
// provider may have begun to charge is not ours to repeat: what has gone out goes out once.
int ExchangeState::on_request(void* self, char*, char*, int, int) {
  auto& exchange = *static_cast<ExchangeState*>(self);
  if (!exchange.sent_before_) exchange.sent_before_ = exchange.sent_bytes();
  if (!exchange.has_sent() || exchange.request_.method != "POST") return CURL_PREREQFUNC_OK;
  try {
    exchange.fail(ErrorClass::network, "closed the connection before it answered");
  } catch (...) {
    exchange.thrown_ = std::current_exception();
  }
  return CURL_PREREQFUNC_ABORT;
}

std::size_t ExchangeState::on_header(char* bytes, std::size_t size, std::size_t count, void* self) {
  return static_cast<ExchangeState*>(self)->take(&ExchangeState::take_header,
                                                 {bytes, size * count});
}

std::size_t ExchangeState::on_body(char* bytes, std::size_t size, std::size_t count, void* self) {
  return static_cast<ExchangeState*>(self)->take(&ExchangeState::take_body, {bytes, size * count});
}

// No exception may pass through libcurl: it is kept until libcurl has returned.
std::size_t ExchangeState::take(Taker taker, std::string_view bytes) noexcept {
  try {
    return (this->*taker)(bytes) ? bytes.size() : 0;
  } catch (...) {
    thrown_ = std::current_exception();
    return 0;
  }
}

bool ExchangeState::take_header(std::string_view line) {
  if (headers_complete_) return true; // trailers
  header_bytes_ += line.size();
  if (header_bytes_ > kMaxHeaderBytes) {
    fail(ErrorClass::server,
         "answered with more than " + std::to_string(kMaxHeaderBytes) + " bytes of headers");
    return false;
  }
  if (line.substr(0, 5) == "HTTP/") {
    headers_.clear();
    return true;
  }
  const std::string_view content = trim(line);
  if (content.empty()) {
    long status = 0;
    curl_easy_getinfo(line_.easy.get(), CURLINFO_RESPONSE_CODE, &status);
    status_ = static_cast<int>(status);
    headers_complete_ = status_ >= 200; // 1xx only announces the answer
    last_receipt_ = Clock::now();
    return true;
  }
  const std::size_t colon = content.find(':');
  if (colon == std::string_view::npos) return true;
  headers_.emplace(lower(trim(content.substr(0, colon))), trim(content.substr(colon + 1)));
  return true;
}

bool ExchangeState::take_body(std::string_view bytes) {
  if (bytes.size() > limits_.max_answer_bytes - body_bytes_) {
    fail(ErrorClass::server, "answered with more than the " +
                                 std::to_string(limits_.max_answer_bytes) + " bytes allowed");
    return false;
  }
  body_bytes_ += bytes.size();
  received_.append(bytes);
  last_receipt_ = Clock::now();
  return true;
}

std::optional<ProviderError> ExchangeState::wait_headers() {
  while (!headers_complete_ && !over()) {
    receive();
    if (!headers_complete_ && !over()) wait();
  }
  // What came before a failure is still worth reading.
  return headers_complete_ ? std::nullopt : failure_;
}

std::variant<std::string, BodyEnd, ProviderError> ExchangeState::read() {
  // The time the caller spent elsewhere is not the provider's.
  last_receipt_ = Clock::now();
  check_client();
  check_deadlines();
  while (received_.empty() && !over()) {
    receive();
    if (received_.empty() && !over()) wait();
  }
  if (!received_.empty() && !(failure_ && failure_->error_class == ErrorClass::client_gone)) {
    std::string bytes;
    bytes.swap(received_);
    return bytes;
  }
  if (failure_) return *failure_;
  return BodyEnd{};
}

void ExchangeState::drain(int wait_ms) {
  const Clock::time_point end = Clock::now() + milliseconds(wait_ms);
  while (!over()) {
    receive();
    received_.clear();
    const auto left = std::chrono::duration_cast<milliseconds>(end - Clock::now()).count();
    if (over() || left <= 0) return;
    curl_multi_poll(line_.multi.get(), nullptr, 0, static_cast<int>(left), nullptr);
  }
}

// Takes what has come, without waiting.
void ExchangeState::receive() {
  int running = 0;
  const CURLMcode code = curl_multi_perform(line_.multi.get(), &running);
  if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
  if (code != CURLM_OK) return fail(ErrorClass::network, curl_multi_strerror(code));
  int queued = 0;
  while (const CURLMsg* message = curl_multi_info_read(line_.multi.get(), &queued)) {
    if (message->msg != CURLMSG_DONE) continue;
    if (message->data.result == CURLE_OK)
      complete_ = true;
    else
      fail_as_curl_says(message->data.result);
  }
}

// Sleeps until something comes, a deadline is due, or it is time to look after the client.
void ExchangeState::wait() {
  check_client();
  check_deadlines();
  if (over()) return;
  curl_multi_poll(line_.multi.get(), nullptr, 0, std::min(kClientPollMs, remaining_ms()), nullptr);
}

void ExchangeState::check_client() {
  const Clock::time_point now = Clock::now();
  if (over() || !client_gone_ || now - last_client_check_ < milliseconds(kClientPollMs)) return;
  last_client_check_ = now;
  if (client_gone_())
    fail(ErrorClass::client_gone, "was left: the client has closed its connection");
}

void ExchangeState::check_deadlines() {
  if (over()) return;
  const Clock::time_point now = Clock::now();
  const auto within = [](int limit_ms) { return " within " + std::to_string(limit_ms) + " ms"; };
  if (now - start_ >= milliseconds(limits_.total_timeout_ms))
    fail(ErrorClass::timeout, "did not complete its answer" + within(limits_.total_timeout_ms));
  else if (!headers_complete_ && now - start_ >= milliseconds(limits_.first_byte_timeout_ms))
    fail(ErrorClass::timeout, "did not begin to answer" + within(limits_.first_byte_timeout_ms));
  else if (headers_complete_ && now - last_receipt_ >= milliseconds(limits_.idle_timeout_ms))
    fail(ErrorClass::timeout, "sent nothing more" + within(limits_.idle_timeout_ms));
}

int ExchangeState::remaining_ms() const {
  const Clock::time_point due = headers_complete_
                                    ? last_receipt_ + milliseconds(limits_.idle_timeout_ms)
                                    : start_ + milliseconds(limits_.first_byte_timeout_ms);
  const Clock::time_point end = std::min(due, start_ + milliseconds(limits_.total_timeout_ms));
  const auto left = std::chrono::ceil<milliseconds>(end - Clock::now()).count();
  return static_cast<int>(std::clamp<decltype(left)>(left, 1, kClientPollMs));
}

void ExchangeState::fail(ErrorClass error_class, const std::string& what) {
  if (failure_) return;
  ProviderError error;
  error.error_class = error_class;
  error.status = status_;
  error.message = (line_.origin.empty() ? std::string("The provider's base URL") : line_.origin) +
                  " " + what + ".";
  error.maybe_charged = has_sent();
  failure_ = std::move(error);
}

// To proxies and to the server, headers included.
long ExchangeState::sent_bytes() const {
  long bytes = 0;
  curl_easy_getinfo(line_.easy.get(), CURLINFO_REQUEST_SIZE, &bytes);
  return bytes;
}

// Whether the server may have got any of the request.
bool ExchangeState::has_sent() const {
  return sent_before_ && sent_bytes() > *sent_before_;
}

void ExchangeState::fail_as_curl_says(CURLcode result) {
  // No other limit of libcurl's is set than the one for connecting.
  if (result == CURLE_OPERATION_TIMEDOUT)
    return fail(ErrorClass::timeout, "accepted no connection within " +
                                         std::to_string(limits_.connect_timeout_ms) + " ms");
  const std::string words =
      curl_words_.front() == '\0' ? curl_easy_strerror(result) : curl_words_.data();
  fail(ErrorClass::network, "cannot be reached or broke off: " + words);
}

Exchange::Exchange(std::unique_ptr<ExchangeState> state) : state_(std::move(state)) {}
Exchange::Exchange(Exchange&&) noexcept = default;
Exchange& Exchange::operator=(Exchange&&) noexcept = default;
Exchange::~Exchange() = default;

std::optional<ProviderError> Exchange::wait_headers() {
  return state_->wait_headers();
}
std::variant<std::string, BodyEnd, ProviderError> Exchange::read() {
  return state_->read();
}
void Exchange::drain(int wait_ms) {
  state_->drain(wait_ms);
}
int Exchange::status() const {
  return state_->status();
}
const std::multimap<std::string, std::string>& Exchange::headers() const {
  return state_->headers();
}

Transport::Transport(std::size_t max_idle) : pool_(std::make_shared<TransportPool>(max_idle)) {
  // libcurl wants this once in a program, before its first handle.
  static const CURLcode initialized = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (initialized != CURLE_OK) throw std::bad_alloc();
}

Transport::~Transport() = default;

Exchange Transport::start(TransportRequest request, const TransportLimits& limits,
                          std::function<bool()> client_gone) {
  return Exchange(
      std::make_unique<ExchangeState>(pool_, std::move(request), limits, std::move(client_gone)));
}

} // namespace holdfast::gateway
