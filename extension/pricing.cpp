#include "extension/pricing.hpp"

#include "extension/core/error.hpp"
#include "extension/pg/arguments.hpp"
#include "extension/pg/lock.hpp"
#include "extension/pg/spi.hpp"

namespace holdfast::pricing {

namespace {

PriceBook kept_book;
Oid pricing_table = InvalidOid; // whose invalidation makes kept_book stale
bool stale = true;

// Runs inside the server's invalidation machinery: it must neither throw nor touch the catalog.
void on_relation_change(Datum, Oid relation) {
  if (relation == pricing_table || relation == InvalidOid) stale = true;
}

pg::Statement load_prices(
    "SELECT price_id, provider, model, effective_date,"
    " cost_per_1m_input, cost_per_1m_output, cost_per_1m_cached_input,"
    " cost_per_1m_cache_write, cost_per_1m_reasoning,"
    " coalesce(long_context_tokens, 0),"
    " coalesce(cost_per_1m_input_long, cost_per_1m_input),"
    " coalesce(cost_per_1m_output_long, cost_per_1m_output),"
    " coalesce(cost_per_1m_cached_input_long, cost_per_1m_cached_input), cost_per_request,"
    " batch_discount_percent, tableoid"
    " FROM holdfast.ai_provider_pricing");

Price read_price(const pg::Row& row) {
  Price price;
  price.price_id = row.integer(1);
  price.provider = row.text(2);
  price.model = row.text(3);
  price.effective_day = row.integer(4);
  price.base = {row.usd(5), row.usd(6), row.optional_usd(7), row.optional_usd(8),
                row.optional_usd(9)};
  price.long_context_tokens = row.integer(10);
  price.long_context = {row.usd(11), row.usd(12), row.optional_usd(13), row.optional_usd(8),
                        row.optional_usd(9)};
  price.per_request = row.usd(14);
  price.batch_discount_percent = row.smallint(15);
  return price;
}

} // namespace

void start() {
  pg::on_relation_change(on_relation_change);
}

const PriceBook& book() {
  if (!stale) return kept_book;
  PriceBook loaded;
  const pg::Rows rows = load_prices.run();
  for (std::uint64_t i = 0; i < rows.size(); ++i)
    loaded.add(read_price(rows[i]));
  kept_book = std::move(loaded);
  if (!rows.empty()) {
    pricing_table = static_cast<Oid>(rows[0].integer(16));
    stale = false; // an empty table names no relation to watch: it is read again
  }
  return kept_book;
}

} // namespace holdfast::pricing

using namespace holdfast;

HOLDFAST_FUNCTION(holdfast_normalize_model) {
  const pg::Arguments arguments(fcinfo);
  const std::string model = arguments.text(0, "p_model");
  std::string normalized;
  {
    pg::Spi spi;
    normalized = pricing::book().normalize(model);
  }
  return pg::from_text(normalized);
}

HOLDFAST_FUNCTION(holdfast_calculate_cost) {
  const pg::Arguments arguments(fcinfo);
  const std::optional<std::string> provider = arguments.optional_text(0, "p_provider");
  const std::string model = arguments.text(1, "p_model");
  Tokens tokens;
  tokens.prompt = arguments.integer(2, "p_prompt_tokens");
  tokens.completion = arguments.integer(3, "p_completion_tokens");
  tokens.cached = arguments.integer(4, "p_cached_tokens");
  tokens.cache_write = arguments.integer(5, "p_cache_write_tokens");
  tokens.reasoning = arguments.integer(6, "p_reasoning_tokens");
  const bool batch = arguments.boolean(7, "p_batch");
  const TimestampTz at = DatumGetTimestampTz(arguments.required(8, "p_at"));
  check_tokens(tokens);
  Usd cost;
  {
    pg::Spi spi;
    const Price& price = pricing::book().find(provider.value_or(""), model, pg::utc_day(at));
    cost = cost_of(price, tokens, batch);
  }
  return pg::from_usd(cost);
}

// Fires after any statement that wrote prices: every server process then reads them anew.
HOLDFAST_FUNCTION(holdfast_prices_changed) {
  pg::invalidate_trigger_table(fcinfo);
  return PointerGetDatum(nullptr);
}
