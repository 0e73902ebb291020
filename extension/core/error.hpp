#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <utility>

namespace holdfast {

// A caller's mistake or a refusal, as SQLSTATE, sentence, JSON detail and hint (SPEC G5).
// It crosses C++ frames as an exception and becomes a PostgreSQL error at the boundary.
class Error : public std::exception {
public:
  Error(std::string_view sqlstate, std::string message) noexcept(false)
      : sqlstate_(sqlstate), message_(std::move(message)) {}

  Error& detail(std::string json) {
    detail_ = std::move(json);
    return *this;
  }
  Error& hint(std::string sentence) {
    hint_ = std::move(sentence);
    return *this;
  }

  const char* what() const noexcept override { return message_.c_str(); }
  const std::string& sqlstate() const noexcept { return sqlstate_; }
  const std::string& message() const noexcept { return message_; }
  const std::string& detail() const noexcept { return detail_; }
  const std::string& hint() const noexcept { return hint_; }

private:
  std::string sqlstate_;
  std::string message_;
  std::string detail_;
  std::string hint_;
};

// The SQLSTATEs of SPEC G5: PostgREST answers PTxyz with HTTP status xyz.
inline Error bad_value(std::string message) {
  return {"PT400", std::move(message)};
}
inline Error unauthenticated(std::string message) {
  return {"PT401", std::move(message)};
}
inline Error forbidden(std::string message) {
  return {"PT403", std::move(message)};
}
inline Error not_found(std::string message) {
  return {"PT404", std::move(message)};
}
inline Error conflict(std::string message) {
  return {"PT409", std::move(message)};
}
inline Error invalid(std::string message) {
  return {"PT422", std::move(message)};
}
inline Error unavailable(std::string message) {
  return {"PT503", std::move(message)};
}

} // namespace holdfast
