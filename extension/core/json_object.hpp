#pragma once

#include <string>
#include <string_view>

namespace holdfast {

// Writes one JSON object: the DETAIL of an error. Numbers are given as decimal text, so that
// no figure passes through a float.
class JsonObject {
public:
  JsonObject& text(std::string_view name, std::string_view value);
  JsonObject& number(std::string_view name, std::string_view decimal);
  JsonObject& number(std::string_view name, long long value);
  JsonObject& json(std::string_view name, std::string_view value); // JSON already
  JsonObject& null(std::string_view name);
  std::string str() const;

private:
  void key(std::string_view name);
  std::string body_;
};

// Appends `value` as a JSON string literal; control characters are escaped, UTF-8 passes through.
void append_json_string(std::string& out, std::string_view value);

} // namespace holdfast
