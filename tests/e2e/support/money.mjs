// USD as exact decimals: BigInts of 1e-18 USD. No float is ever made of money here.

const kDigits = 18;
const kUnit = 10n ** BigInt(kDigits);

// usd('0.0154'): the decimal text of PostgreSQL or of JSON, as 1e-18 USD.
export function usd(text) {
  const match = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text);
  if (!match) throw new Error(`no decimal: ${text}`);
  const [, sign, whole, fraction = '', exponent = '0'] = match;
  const shift = kDigits - fraction.length + Number.parseInt(exponent, 10);
  if (shift < 0) throw new Error(`more than ${kDigits} decimals: ${text}`);
  const value = BigInt(whole + fraction) * 10n ** BigInt(shift);
  return sign ? -value : value;
}

// The shortest decimal text of it.
export function decimal(value) {
  const sign = value < 0n ? '-' : '';
  const size = value < 0n ? -value : value;
  const fraction = (size % kUnit).toString().padStart(kDigits, '0').replace(/0+$/, '');
  return `${sign}${size / kUnit}${fraction ? `.${fraction}` : ''}`;
}

// What tokens cost at a price {input, output, cached?} in USD per million tokens, as 1e-18 USD.
export function costOf({ prompt, completion, cached = 0 }, price) {
  const perMillion =
    BigInt(prompt - cached) * usd(price.input) +
    BigInt(cached) * usd(price.cached ?? price.input) +
    BigInt(completion) * usd(price.output);
  if (perMillion % 1_000_000n !== 0n) throw new Error('the price has too many decimals to be exact');
  return perMillion / 1_000_000n;
}

// A member of a JSON text that holds money, exactly as it was written.
export function moneyIn(jsonText, name) {
  const match = new RegExp(`"${name}"\\s*:\\s*(null|-?[0-9.eE+-]+)`).exec(jsonText);
  if (!match) throw new Error(`no ${name} in ${jsonText}`);
  return match[1] === 'null' ? null : usd(match[1]);
}
