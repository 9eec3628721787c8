/**
 * An atomic long on several sides of a split, as the design describes it and without anything of the implementation: each
 * side knows additions and records (of set, getAndSet, compareAndSet and alter), and each record the additions that it saw. The
 * latest record counts, plus all additions that it had not seen.
 */

export interface Addition {
  readonly amount: bigint;
}

export interface SetRecord {
  readonly value: bigint;
  readonly time: number;
  readonly saw: ReadonlySet<Addition>;
}

/** What a merge gave up: the record of a side, and whose it was. */
export interface LostRecord {
  readonly value: bigint;
  readonly side: 'source' | 'owner';
}

export class LongSide {
  #additions: readonly Addition[];
  #latest: SetRecord | null;
  /** The latest record was made since the sides parted. */
  #isNew = false;

  constructor(from?: LongSide) {
    this.#additions = from === undefined ? [] : from.#additions;
    this.#latest = from === undefined ? null : from.#latest;
  }

  get value(): bigint {
    const saw = this.#latest?.saw ?? new Set<Addition>();
    let value = this.#latest?.value ?? 0n;
    for (const addition of this.#additions) if (!saw.has(addition)) value += addition.amount;
    return BigInt.asIntN(64, value);
  }

  add(amount: bigint): void {
    this.#additions = [...this.#additions, { amount }];
  }

  record(value: bigint, time: number): void {
    this.#latest = { value, time, saw: new Set(this.#additions) };
    this.#isNew = true;
  }

  /** Takes in what the source did since the sides parted; tells the record that is overtaken by another value. */
  merge(source: LongSide): LostRecord | null {
    this.#additions = [...new Set([...this.#additions, ...source.#additions])];
    const [own, theirs] = [this.#latest, source.#isNew ? source.#latest : null];
    if (theirs === null) return null;
    const isOvertaken = own !== null && own.time > theirs.time;
    const ownWasNew = this.#isNew;
    if (!isOvertaken) {
      this.#latest = theirs;
      this.#isNew = true;
    }
    if (own === null || !ownWasNew || own.value === theirs.value) return null;
    return isOvertaken ? { value: theirs.value, side: 'source' } : { value: own.value, side: 'owner' };
  }
}
