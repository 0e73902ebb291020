// Exact US dollars: a BigInt of 1e-18 USD. PostgreSQL's numeric text goes in and comes out.

const kDecimals = 18;
const kUnit = 10n ** BigInt(kDecimals);

export function usd(text) {
  const match = /^(-?)(\d+)(?:\.(\d+))?$/.exec(String(text));
  if (!match) throw new Error(`no decimal: ${text}`);
  const [, sign, whole, fraction = ''] = match;
  if (/[1-9]/.test(fraction.slice(kDecimals))) throw new Error(`more than ${kDecimals} decimals: ${text}`);
  const units = BigInt(whole) * kUnit + BigInt(fraction.slice(0, kDecimals).padEnd(kDecimals, '0'));
  return sign ? -units : units;
}

export function text(units) {
  if (units === null) return null;
  const digits = (units < 0n ? -units : units).toString().padStart(kDecimals + 1, '0');
  const fraction = digits.slice(-kDecimals).replace(/0+$/, '');
  return (units < 0n ? '-' : '') + digits.slice(0, -kDecimals) + (fraction && `.${fraction}`);
}

export const greater = (a, b) => (a > b ? a : b);
export const sum = (amounts) => amounts.reduce((total, amount) => total + amount, 0n);
