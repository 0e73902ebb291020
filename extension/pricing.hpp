#pragma once

#include "extension/core/price_book.hpp"

namespace holdfast::pricing {

// Registers the callback by which changed prices reach every server process.
void start();

// All prices as this transaction sees them; valid until the next call. Needs a pg::Spi.
const PriceBook& book();

} // namespace holdfast::pricing
