// What a call costs: the list of prices, and the one in force for a model on a day.

import { usd } from './usd.mjs';

const kMillion = 1_000_000n;

export class Prices {
  constructor() {
    this.list = [];
  }

  add(price) {
    this.list.push(price);
  }

  // The price of an already plain model name: null where none is in force or several providers have one. The sandbox is
  // priced as the dearest of those that it imitates.
  find(provider, model, day) {
    const latest = new Map();
    for (const price of this.list) {
      if (price.model !== model || price.from > day || (![null, 'sandbox', price.provider].includes(provider))) continue;
      const known = latest.get(price.provider);
      if (!known || known.from < price.from) latest.set(price.provider, price);
    }
    const found = [...latest.values()];
    if (provider === 'sandbox') found.sort((a, b) => (a.input + a.output > b.input + b.output ? -1 : 1)).splice(1);
    return found.length === 1 ? found[0] : null;
  }

  static fromRow(row) {
    const money = (value) => (value === null ? null : usd(value));
    return {
      id: row.price_id,
      provider: row.provider,
      model: row.model,
      from: row.effective_date,
      input: money(row.cost_per_1m_input),
      output: money(row.cost_per_1m_output),
      cached: money(row.cost_per_1m_cached_input),
      written: money(row.cost_per_1m_cache_write),
      reasoning: money(row.cost_per_1m_reasoning),
      longFrom: row.long_context_tokens === null ? null : Number(row.long_context_tokens),
      longInput: money(row.cost_per_1m_input_long),
      longOutput: money(row.cost_per_1m_output_long),
      longCached: money(row.cost_per_1m_cached_input_long),
      perRequest: money(row.cost_per_request),
    };
  }
}

// Each token at its rate; a rate that a price lacks is that of the plain kind of the same prompt length.
export function costOf(price, tokens) {
  const long = price.longFrom !== null && tokens.prompt > price.longFrom;
  const input = long ? (price.longInput ?? price.input) : price.input;
  const output = long ? (price.longOutput ?? price.output) : price.output;
  const cached = (long ? (price.longCached ?? price.cached) : price.cached) ?? input;
  const plain = tokens.prompt - tokens.cached - tokens.written;
  const units =
    BigInt(plain) * input +
    BigInt(tokens.cached) * cached +
    BigInt(tokens.written) * (price.written ?? input) +
    BigInt(tokens.completion - tokens.reasoning) * output +
    BigInt(tokens.reasoning) * (price.reasoning ?? output);
  return units / kMillion + price.perRequest;
}

// The most that a call can cost, whatever of its tokens is cached or reasoned.
export function mostOf(price, prompt, completion) {
  const tokens = { prompt, completion, cached: 0, written: 0, reasoning: 0 };
  const inputs = [{}, { cached: prompt }, { written: prompt }];
  const outputs = [{}, { reasoning: completion }];
  return inputs.flatMap((input) => outputs.map((output) => costOf(price, { ...tokens, ...input, ...output })))
    .reduce((most, cost) => (cost > most ? cost : most));
}
