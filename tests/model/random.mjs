// A seeded generator of random choices (mulberry32): the same seed, the same operations.

export class Random {
  constructor(seed) {
    this.state = seed >>> 0;
  }

  // A whole number of 32 bits.
  next() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let z = this.state;
    z = Math.imul(z ^ (z >>> 15), z | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return (z ^ (z >>> 14)) >>> 0;
  }

  // A whole number from `low` to `high`, both included.
  between(low, high) {
    return low + (this.next() % (high - low + 1));
  }

  chance(percent) {
    return this.between(1, 100) <= percent;
  }

  pick(list) {
    return list[this.between(0, list.length - 1)];
  }

  // A key of {key: weight}.
  weighted(weights) {
    const entries = Object.entries(weights).filter(([, weight]) => weight > 0);
    let point = this.between(1, entries.reduce((total, [, weight]) => total + weight, 0));
    for (const [key, weight] of entries) {
      point -= weight;
      if (point <= 0) return key;
    }
    throw new Error('weights that add up to nothing');
  }

  uuid() {
    const hex = Array.from({ length: 4 }, () => this.next().toString(16).padStart(8, '0')).join('');
    return hex.replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12})$/, '$1-$2-4$3-8$4-$5');
  }

  // From nothing up to `most` millionths of a dollar, with up to 18 decimals, in BigInt units.
  amount(most) {
    const millionths = BigInt(this.between(0, most)) * 10n ** 12n;
    if (millionths === 0n || this.chance(70)) return millionths;
    return millionths - BigInt(this.next()) * BigInt(this.between(1, 232));
  }
}
