// Throws each kind of error through the boundary, for the regression tests. No SQL function of the
// extension leads here: a superuser has to declare one.
#include "extension/core/error.hpp"
#include "extension/pg/arguments.hpp"
#include "extension/pg/spi.hpp"

using namespace holdfast;

namespace {

int live_guards = 0;

// Counts the objects that a skipped destructor would leave behind.
struct Guard {
  Guard() { ++live_guards; }
  ~Guard() { --live_guards; }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;
};

constexpr Oid kTextTypes[] = {TEXTOID};
pg::Statement run_expression("SELECT holdfast.normalize_model($1)", kTextTypes);

void throw_kind(const std::string& kind) {
  const Guard guard;
  std::vector<std::string> on_the_heap(8, std::string(256, 'x'));
  if (kind == "error")
    throw invalid("Nothing is \"priced\".").detail(R"({"figure": 0.1})").hint("Price it.");
  if (kind == "server") pg::call([] { elog(ERROR, "raised by the server"); });
  if (kind == "nested") {
    pg::Spi spi;
    run_expression.run(pg::Parameters().text("")); // a failing function of ours, below SPI
  }
  if (kind == "bad_alloc") throw std::bad_alloc();
  if (kind == "length") on_the_heap.front().append(std::string::npos, 'x');
  if (kind == "runtime") throw std::runtime_error("a runtime error");
  if (kind == "unknown") throw 42;
  if (kind == "long") throw bad_value(std::string(4000, 'a')).hint(std::string(4000, 'b'));
  if (kind == "wide") { // the cut falls inside a character of three bytes
    std::string text = "x";
    while (text.size() < 4000)
      text += "\xe2\x82\xac";
    throw bad_value(text);
  }
}

} // namespace

HOLDFAST_FUNCTION(holdfast_probe_throw) {
  throw_kind(pg::Arguments(fcinfo).text(0, "kind"));
  return pg::from_text("nothing was thrown");
}

HOLDFAST_FUNCTION(holdfast_probe_live_guards) {
  static_cast<void>(fcinfo);
  return Int32GetDatum(live_guards);
}
