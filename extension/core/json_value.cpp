#include "extension/core/json_value.hpp"

#include "extension/core/json_object.hpp"

#include <algorithm>
#include <cstdint>

namespace holdfast {

namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

void append_utf8(std::string& out, std::uint32_t code) {
  const auto byte = [&](std::uint32_t value) { out += static_cast<char>(value); };
  if (code < 0x80) {
    byte(code);
  } else if (code < 0x800) {
    byte(0xc0 | (code >> 6));
    byte(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    byte(0xe0 | (code >> 12));
    byte(0x80 | ((code >> 6) & 0x3f));
    byte(0x80 | (code & 0x3f));
  } else {
    byte(0xf0 | (code >> 18));
    byte(0x80 | ((code >> 12) & 0x3f));
    byte(0x80 | ((code >> 6) & 0x3f));
    byte(0x80 | (code & 0x3f));
  }
}

class Parser {
public:
  explicit Parser(std::string_view json) : json_(json) {}

  bool document(JsonValue& out) { return value(out, 0) && (skip(), at_ == json_.size()); }

private:
  void skip() {
    while (at_ < json_.size() && std::string_view(" \t\r\n").find(json_[at_]) != json_.npos)
      ++at_;
  }

  bool take(char c) {
    if (at_ == json_.size() || json_[at_] != c) return false;
    ++at_;
    return true;
  }

  bool word(std::string_view expected) {
    if (json_.substr(at_, expected.size()) != expected) return false;
    at_ += expected.size();
    return true;
  }

  bool value(JsonValue& out, int depth) {
    if (depth == JsonValue::kMostDepth) return false;
    skip();
    if (at_ == json_.size()) return false;
    switch (json_[at_]) {
    case '{':
      return object(out, depth);
    case '[':
      return array(out, depth);
    case '"':
      out.kind = JsonValue::Kind::text;
      return text(out.text);
    case 't':
      out.kind = JsonValue::Kind::boolean;
      out.flag = true;
      return word("true");
    case 'f':
      out.kind = JsonValue::Kind::boolean;
      return word("false");
    case 'n':
      return word("null");
    default:
      return number(out);
    }
  }

  bool object(JsonValue& out, int depth) {
    out.kind = JsonValue::Kind::object;
    ++at_;
    skip();
    if (take('}')) return true;
    do {
      JsonMember member;
      skip();
      if (at_ == json_.size() || json_[at_] != '"' || !text(member.name)) return false;
      skip();
      if (!take(':') || !value(member.value, depth + 1)) return false;
      out.members.push_back(std::move(member));
      skip();
    } while (take(','));
    return take('}');
  }

  bool array(JsonValue& out, int depth) {
    out.kind = JsonValue::Kind::array;
    ++at_;
    skip();
    if (take(']')) return true;
    do {
      JsonValue item;
      if (!value(item, depth + 1)) return false;
      out.items.push_back(std::move(item));
      skip();
    } while (take(','));
    return take(']');
  }

  std::size_t digits() {
    const std::size_t begin = at_;
    while (at_ < json_.size() && is_digit(json_[at_]))
      ++at_;
    return at_ - begin;
  }

  bool number(JsonValue& out) {
    const std::size_t begin = at_;
    take('-');
    const std::size_t first = at_;
    const std::size_t whole = digits();
    if (whole == 0 || (whole > 1 && json_[first] == '0')) return false;
    if (take('.') && digits() == 0) return false;
    if (take('e') || take('E')) {
      if (!take('+')) take('-');
      if (digits() == 0) return false;
    }
    out.kind = JsonValue::Kind::number;
    out.text = json_.substr(begin, at_ - begin);
    return true;
  }

  bool hex4(std::uint32_t& code) {
    if (json_.size() - at_ < 4) return false;
    code = 0;
    for (int i = 0; i < 4; ++i) {
      const char c = json_[at_++];
      code <<= 4;
      if (is_digit(c))
        code |= static_cast<std::uint32_t>(c - '0');
      else if (c >= 'a' && c <= 'f')
        code |= static_cast<std::uint32_t>(c - 'a' + 10);
      else if (c >= 'A' && c <= 'F')
        code |= static_cast<std::uint32_t>(c - 'A' + 10);
      else
        return false;
    }
    return true;
  }

  // A pair of surrogates is one character; half of one is none. Neither is NUL, which text in
  // PostgreSQL cannot hold.
  bool unicode(std::string& out) {
    std::uint32_t code = 0;
    if (!hex4(code) || code == 0) return false;
    if (code >= 0xdc00 && code < 0xe000) return false;
    if (code >= 0xd800 && code < 0xdc00) {
      std::uint32_t low = 0;
      if (!word("\\u") || !hex4(low) || low < 0xdc00 || low >= 0xe000) return false;
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    append_utf8(out, code);
    return true;
  }

  bool escape(std::string& out) {
    static constexpr std::string_view kNames = "\"\\/bfnrt";
    static constexpr std::string_view kMeant = "\"\\/\b\f\n\r\t";
    if (at_ == json_.size()) return false;
    const char c = json_[at_++];
    if (c == 'u') return unicode(out);
    const std::size_t known = kNames.find(c);
    if (known == kNames.npos) return false;
    out += kMeant[known];
    return true;
  }

  bool text(std::string& out) {
    ++at_;
    while (at_ < json_.size()) {
      const char c = json_[at_++];
      if (c == '"') return true;
      if (static_cast<unsigned char>(c) < 0x20) return false;
      if (c != '\\')
        out += c;
      else if (!escape(out))
        return false;
    }
    return false;
  }

  std::string_view json_;
  std::size_t at_ = 0;
};

void append(std::string& out, const JsonValue& value) {
  const auto each = [&out](const auto& parts, char open, char close, auto write) {
    out += open;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (i > 0) out += ',';
      write(parts[i]);
    }
    out += close;
  };
  switch (value.kind) {
  case JsonValue::Kind::null:
    out += "null";
    break;
  case JsonValue::Kind::boolean:
    out += value.flag ? "true" : "false";
    break;
  case JsonValue::Kind::number:
    out += value.text;
    break;
  case JsonValue::Kind::text:
    append_json_string(out, value.text);
    break;
  case JsonValue::Kind::array:
    each(value.items, '[', ']', [&out](const JsonValue& item) { append(out, item); });
    break;
  case JsonValue::Kind::object:
    each(value.members, '{', '}', [&out](const JsonMember& member) {
      append_json_string(out, member.name);
      out += ':';
      append(out, member.value);
    });
    break;
  }
}

const JsonValue* element(const JsonValue& value, std::string_view number) {
  constexpr std::size_t kMostDigits = 6;
  if (number.empty() || number.size() > kMostDigits ||
      !std::all_of(number.begin(), number.end(), is_digit))
    return nullptr;
  const std::size_t i = std::stoul(std::string(number));
  return i < value.items.size() ? &value.items[i] : nullptr;
}

} // namespace

std::optional<JsonValue> JsonValue::parse(std::string_view json) {
  JsonValue value;
  if (!Parser(json).document(value)) return std::nullopt;
  return value;
}

const JsonValue* JsonValue::find(std::string_view name) const {
  for (const JsonMember& member : members) {
    if (member.name == name) return &member.value;
  }
  return nullptr;
}

std::string JsonValue::str() const {
  std::string out;
  append(out, *this);
  return out;
}

std::string JsonValue::plain() const {
  if (kind == Kind::text) return text;
  return kind == Kind::null ? std::string() : str();
}

const JsonValue* at_path(const JsonValue& value, std::string_view path) {
  const JsonValue* found = &value;
  while (found != nullptr && !path.empty()) {
    const std::size_t dot = std::min(path.find('.'), path.size());
    const std::string_view part = path.substr(0, dot);
    path.remove_prefix(std::min(dot + 1, path.size()));
    found = found->is(JsonValue::Kind::array) ? element(*found, part) : found->find(part);
  }
  return found;
}

} // namespace holdfast
