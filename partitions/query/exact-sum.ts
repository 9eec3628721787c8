/**
 * The sum of doubles without rounding on the way: the result is the double nearest to the exact sum, whatever the order, so
 * that partitions may be added as they answer. By Shewchuk's partial sums, which never overlap. Called by aggregators.
 */

export class ExactSum {
  /** In ascending order of size; their exact sum is the sum. */
  #partials: number[] = [];
  /** Sum of what is infinite or no number, and of what grew beyond the largest double. */
  #beyond = 0;

  get partials(): readonly number[] {
    return this.#beyond === 0 ? this.#partials : [...this.#partials, this.#beyond];
  }

  add(given: number): void {
    if (!Number.isFinite(given)) {
      this.#beyond += given;
      return;
    }
    let x = given;
    const kept: number[] = [];
    for (const partial of this.#partials) {
      const [large, small] = Math.abs(x) < Math.abs(partial) ? [partial, x] : [x, partial];
      const high = large + small;
      if (!Number.isFinite(high)) {
        this.#beyond += high;
        this.#partials = [];
        return;
      }
      const low = small - (high - large);
      if (low !== 0) kept.push(low);
      x = high;
    }
    kept.push(x);
    this.#partials = kept;
  }

  get result(): number {
    if (this.#beyond !== 0) return this.#beyond;
    const all = this.#partials;
    let n = all.length;
    if (n === 0) return 0;
    let high = all[--n] as number;
    let low = 0;
    while (n > 0) {
      const x = high;
      const y = all[--n] as number;
      high = x + y;
      low = y - (high - x);
      if (low !== 0) break;
    }
    // Half way between two doubles what is left decides.
    if (n > 0 && Math.sign(low) === Math.sign(all[n - 1] as number)) {
      const twice = low * 2;
      const x = high + twice;
      if (twice === x - high) high = x;
    }
    return high;
  }
}
