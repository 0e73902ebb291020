// Kept libcurl handles, for transport.cpp only.
#pragma once

#include <cstddef>
#include <curl/curl.h>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace holdfast::gateway {

struct CurlMultiDeleter {
  void operator()(CURLM* handle) const { curl_multi_cleanup(handle); }
};
struct CurlEasyDeleter {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
struct CurlListDeleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
struct CurlUrlDeleter {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using CurlMulti = std::unique_ptr<CURLM, CurlMultiDeleter>;
using CurlEasy = std::unique_ptr<CURL, CurlEasyDeleter>;
using CurlList = std::unique_ptr<curl_slist, CurlListDeleter>;
using CurlUrl = std::unique_ptr<CURLU, CurlUrlDeleter>;

// A multi handle, which keeps one connection to `origin`, and the easy handle, which keeps the TLS
// session. The easy handle is declared last: it goes first.
struct Line {
  std::string origin;
  CurlMulti multi;
  CurlEasy easy;
};

// Lines that wait for the next exchange with their origin. When there are too many the one that
// waited longest is closed.
class TransportPool {
public:
  explicit TransportPool(std::size_t max_idle);

  // A waiting line to this origin, else a new one. Throws std::bad_alloc when libcurl has no
  // memory.
  Line take(const std::string& origin);
  void give_back(Line line) noexcept;

private:
  std::size_t max_idle_;
  std::mutex mutex_;
  std::vector<Line> idle_; // oldest first
};

} // namespace holdfast::gateway
