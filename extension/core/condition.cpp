#include "extension/core/condition.hpp"

#include "extension/core/usd.hpp"

#include <array>

namespace holdfast {

struct Condition::Node {
  enum class Kind { either, both, negation, comparison, truth };
  Kind kind = Kind::truth;
  std::string op;
  struct Operand {
    std::string text;
    TextTemplate::Name name; // empty: the text itself
  };
  Operand left;
  Operand right;
  std::vector<std::shared_ptr<const Node>> parts;
};

namespace {

constexpr int kMostDepth = 16;
constexpr std::size_t kMostBytes = 2000;
constexpr std::array<std::string_view, 7> kOperators = {
    "==", "!=", "<=", ">=", "<", ">", "contains"};

using Node = Condition::Node;
using Link = std::shared_ptr<const Node>;

class Parser {
public:
  Parser(std::string_view text, const std::string& step) : text_(text), step_(step) {}

  Link condition() {
    if (text_.size() > kMostBytes) throw unreadable("is longer than 2000 bytes");
    Link root = either(0);
    skip();
    if (at_ != text_.size()) throw unreadable("goes on where it should end");
    return root;
  }

private:
  Error unreadable(const std::string& why) const {
    return definition_fault(step_, "bad_condition",
                            "The condition " + why + ", at character " + std::to_string(at_ + 1) +
                                ".")
        .hint("Write as in {{check.output}} == \"yes\" && {{input.count}} > 3.");
  }

  void skip() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t'))
      ++at_;
  }

  bool take(std::string_view token) {
    skip();
    if (text_.substr(at_, token.size()) != token) return false;
    at_ += token.size();
    return true;
  }

  Link joined(Node::Kind kind, std::string_view token, int depth, Link (Parser::*part)(int)) {
    Node node;
    node.kind = kind;
    do
      node.parts.push_back((this->*part)(depth));
    while (take(token));
    if (node.parts.size() == 1) return node.parts.front();
    return std::make_shared<const Node>(std::move(node));
  }

  Link either(int depth) {
    if (depth == kMostDepth) throw unreadable("is nested too deep");
    return joined(Node::Kind::either, "||", depth, &Parser::both);
  }

  Link both(int depth) { return joined(Node::Kind::both, "&&", depth, &Parser::single); }

  Link single(int depth) {
    if (depth == kMostDepth) throw unreadable("is nested too deep");
    skip();
    if (text_.substr(at_, 2) != "!=" && take("!")) {
      Node node;
      node.kind = Node::Kind::negation;
      node.parts.push_back(single(depth + 1));
      return std::make_shared<const Node>(std::move(node));
    }
    if (take("(")) {
      Link inner = either(depth + 1);
      if (!take(")")) throw unreadable("has a ( without )");
      return inner;
    }
    return comparison();
  }

  Link comparison() {
    Node node;
    node.left = operand();
    for (const std::string_view op : kOperators) {
      if (!take(op)) continue;
      node.kind = Node::Kind::comparison;
      node.op = op;
      node.right = operand();
      break;
    }
    return std::make_shared<const Node>(std::move(node));
  }

  Node::Operand operand() {
    skip();
    if (text_.substr(at_, 2) == "{{") return variable();
    if (at_ < text_.size() && (text_[at_] == '"' || text_[at_] == '\'')) return quoted();
    std::size_t end = at_;
    while (end < text_.size() &&
           std::string_view("+-.0123456789").find(text_[end]) != std::string_view::npos)
      ++end;
    const std::string_view number = text_.substr(at_, end - at_);
    if (!Usd::parse(number)) throw unreadable("lacks a {{name}}, a \"text\" or a number");
    at_ = end;
    return {std::string(number), {}};
  }

  Node::Operand variable() {
    const std::size_t close = text_.find("}}", at_);
    if (close == text_.npos) throw unreadable("has a {{ without }}");
    const TextTemplate name = TextTemplate::parse(text_.substr(at_, close + 2 - at_), step_);
    at_ = close + 2;
    return {"", name.names().front()};
  }

  Node::Operand quoted() {
    const std::size_t close = text_.find(text_[at_], at_ + 1);
    if (close == text_.npos) throw unreadable("has a text that does not end");
    const std::string text(text_.substr(at_ + 1, close - at_ - 1));
    at_ = close + 1;
    return {text, {}};
  }

  std::string_view text_;
  const std::string& step_;
  std::size_t at_ = 0;
};

void collect(const Node& node, std::vector<TextTemplate::Name>& names) {
  for (const Node::Operand* operand : {&node.left, &node.right}) {
    if (!operand->name.empty()) names.push_back(operand->name);
  }
  for (const Link& part : node.parts)
    collect(*part, names);
}

bool compare(const std::string& op, const std::string& left, const std::string& right) {
  if (op == "contains") return left.find(right) != std::string::npos;
  const std::optional<Usd> a = Usd::parse(left);
  const std::optional<Usd> b = Usd::parse(right);
  const auto decide = [&op](const auto& x, const auto& y) {
    if (op == "==") return x == y;
    if (op == "!=") return x != y;
    if (op == "<") return x < y;
    if (op == "<=") return x <= y;
    return op == ">" ? x > y : x >= y;
  };
  return a && b ? decide(*a, *b) : decide(left, right);
}

bool evaluate(const Node& node, const Condition::ValueOf& value_of) {
  const auto read = [&](const Node::Operand& operand) {
    return operand.name.empty() ? operand.text : value_of(operand.name);
  };
  switch (node.kind) {
  case Node::Kind::either:
    for (const Link& part : node.parts)
      if (evaluate(*part, value_of)) return true;
    return false;
  case Node::Kind::both:
    for (const Link& part : node.parts)
      if (!evaluate(*part, value_of)) return false;
    return true;
  case Node::Kind::negation:
    return !evaluate(*node.parts.front(), value_of);
  case Node::Kind::comparison:
    return compare(node.op, read(node.left), read(node.right));
  case Node::Kind::truth:
    break;
  }
  const std::string value = read(node.left);
  return !value.empty() && value != "false" && value != "0";
}

} // namespace

Condition Condition::parse(std::string_view text, const std::string& step) {
  Condition condition;
  condition.root_ = Parser(text, step).condition();
  return condition;
}

std::vector<TextTemplate::Name> Condition::names() const {
  std::vector<TextTemplate::Name> found;
  if (root_) collect(*root_, found);
  return found;
}

bool Condition::holds(const ValueOf& value_of) const {
  return !root_ || evaluate(*root_, value_of);
}

} // namespace holdfast
