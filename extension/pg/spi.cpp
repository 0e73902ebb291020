#include "extension/pg/spi.hpp"

#include "extension/core/error.hpp"

namespace holdfast::pg {

Spi::Spi() : exceptions_at_entry_(std::uncaught_exceptions()) {
  call([] { SPI_connect(); });
}

Spi::~Spi() {
  // On the way to an error the server takes the connection down with the transaction.
  if (std::uncaught_exceptions() == exceptions_at_entry_) SPI_finish();
}

bool Row::is_null(int column) const {
  bool null = false;
  const HeapTuple tuple = tuple_;
  const TupleDesc shape = shape_;
  call([=, &null] { SPI_getbinval(tuple, shape, column, &null); });
  return null;
}

Datum Row::datum(int column) const {
  bool null = false;
  const HeapTuple tuple = tuple_;
  const TupleDesc shape = shape_;
  const Datum value = call([=, &null] { return SPI_getbinval(tuple, shape, column, &null); });
  if (null) throw Error("XX000", "column " + std::to_string(column) + " is unexpectedly NULL");
  return value;
}

std::optional<Usd> Row::optional_usd(int column) const {
  if (is_null(column)) return std::nullopt;
  return usd(column);
}

std::optional<Uuid> Row::optional_uuid(int column) const {
  if (is_null(column)) return std::nullopt;
  return uuid(column);
}

std::optional<std::string> Row::optional_text(int column) const {
  if (is_null(column)) return std::nullopt;
  return text(column);
}

Parameters& Parameters::add(Datum value) {
  if (size_ == kMost) throw Error("XX000", "a statement has more parameters than are kept");
  values_[static_cast<std::size_t>(size_)] = value;
  nulls_[static_cast<std::size_t>(size_++)] = ' ';
  return *this;
}

Parameters& Parameters::null() {
  add(Datum{0});
  nulls_[static_cast<std::size_t>(size_ - 1)] = 'n';
  return *this;
}

Rows Statement::run(const Parameters& parameters) {
  return execute(parameters, false);
}

Rows Statement::query(const Parameters& parameters) {
  return execute(parameters, true);
}

namespace {

class Running {
public:
  explicit Running(int& count) : count_(count) { ++count_; }
  ~Running() { --count_; }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

private:
  int& count_;
};

} // namespace

// One plan for all values: planning anew for each took a third of a call's time. One that was made
// while its tables were nearly empty, when every index seems as good as another, is made anew as
// they may have grown; the server itself does so not before it has analyzed them.
void Statement::prepare() {
  constexpr std::int64_t kFirstTime = 64;
  constexpr std::int64_t kTimes = 4;
  const char* sql = sql_;
  const Oid* types = types_;
  const int count = type_count_;
  const SPIPlanPtr before = plan_;
  plan_ = call([=] {
    SPIPlanPtr plan =
        SPI_prepare_cursor(sql, count, const_cast<Oid*>(types), CURSOR_OPT_GENERIC_PLAN);
    if (plan == nullptr) elog(ERROR, "could not prepare \"%s\": %d", sql, SPI_result);
    SPI_keepplan(plan);
    if (before != nullptr) SPI_freeplan(before);
    return plan;
  });
  next_plan_ = uses_ < kFirstTime ? kFirstTime : uses_ * kTimes;
}

Rows Statement::execute(const Parameters& parameters, bool read_only) {
  if (parameters.size() != type_count_)
    throw Error("XX000", std::string("wrong number of parameters for: ") + sql_);
  if (uses_++ >= next_plan_ && running_ == 0) prepare();
  const Running running(running_);
  const SPIPlanPtr plan = plan_;
  const Parameters* given = &parameters;
  call([=] {
    const int outcome =
        SPI_execute_plan(plan, const_cast<Datum*>(given->values()), given->nulls(), read_only, 0);
    if (outcome < 0) elog(ERROR, "statement failed: %s", SPI_result_code_string(outcome));
  });
  return {SPI_tuptable, SPI_processed};
}

} // namespace holdfast::pg
