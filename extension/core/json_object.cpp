#include "extension/core/json_object.hpp"

namespace holdfast {

namespace {

void append_unicode_escape(std::string& out, unsigned char byte) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += "\\u00";
  out += kHex[byte >> 4];
  out += kHex[byte & 0x0f];
}

} // namespace

void append_json_string(std::string& out, std::string_view value) {
  out += '"';
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20) {
      append_unicode_escape(out, byte);
    } else {
      out += c;
    }
  }
  out += '"';
}

void JsonObject::key(std::string_view name) {
  if (!body_.empty()) body_ += ", ";
  append_json_string(body_, name);
  body_ += ": ";
}

JsonObject& JsonObject::text(std::string_view name, std::string_view value) {
  key(name);
  append_json_string(body_, value);
  return *this;
}

JsonObject& JsonObject::number(std::string_view name, std::string_view decimal) {
  key(name);
  body_ += decimal;
  return *this;
}

JsonObject& JsonObject::number(std::string_view name, long long value) {
  return number(name, std::to_string(value));
}

JsonObject& JsonObject::json(std::string_view name, std::string_view value) {
  key(name);
  body_ += value;
  return *this;
}

JsonObject& JsonObject::null(std::string_view name) {
  return number(name, "null");
}

std::string JsonObject::str() const {
  return "{" + body_ + "}";
}

} // namespace holdfast
