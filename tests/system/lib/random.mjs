// Seeded random numbers (mulberry32), so that a failing run can be repeated with SEED=...

export class Random {
  constructor(seed = undefined) {
    this.seed = Number(seed ?? Math.floor(Math.random() * 2 ** 31)) >>> 0;
    this.state = this.seed;
  }

  /** A random unsigned 32-bit number. */
  next() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let value = this.state;
    value = Math.imul(value ^ (value >>> 15), value | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return (value ^ (value >>> 14)) >>> 0;
  }

  /** A number from 0 up to and without `limit`. */
  below(limit) {
    return this.next() % limit;
  }

  pick(list) {
    return list[this.below(list.length)];
  }
}
