/**
 * Which versions of another side a map has merged already, so that a record that comes a second time - its
 * acknowledgement was lost, or a backup finishes what its primary began - is not judged again, against what was
 * written since. Only versions that the records themselves do not show are here. Invariant: bounded; the oldest marks
 * go first, and all go by housekeeping when no fork can be alive that they tell of. Called by the state of the map.
 */
import type { Reader, Writer } from '../../../src/base/bytes.js';
import type { RecordVersion } from '../../store/record-layout.js';
import { nameOf, readVersion, writeVersion } from '../../store/record-version.js';

/** Of one map in one partition. */
const MAX_MARKS = 10_000;
/** What one takes in memory, roughly, and exactly on the wire. */
const MARK_BYTES = 96;
const WIRE_BYTES = 26;

interface Mark extends RecordVersion {
  /** When it was merged. */
  readonly atMs: number;
}

export class MergedMarks {
  readonly #marks = new Map<string, Mark>();

  get sizeBytes(): number {
    return this.#marks.size * MARK_BYTES;
  }

  get count(): number {
    return this.#marks.size;
  }

  has(version: RecordVersion): boolean {
    return this.#marks.size > 0 && this.#marks.has(nameOf(version));
  }

  add(version: RecordVersion, atMs: number): void {
    const { ms, counter, memberHi, memberLo } = version;
    const name = nameOf(version);
    if (this.#marks.has(name)) return;
    this.#marks.set(name, { ms, counter, memberHi, memberLo, atMs });
    if (this.#marks.size > MAX_MARKS) this.#marks.delete(this.#marks.keys().next().value as string);
  }

  /** Whether `purge` would remove something. */
  isPurgeable(beforeMs: number): boolean {
    for (const { atMs } of this.#marks.values()) if (atMs < beforeMs) return true;
    return false;
  }

  purge(beforeMs: number): void {
    for (const [name, { atMs }] of this.#marks) if (atMs < beforeMs) this.#marks.delete(name);
  }

  /** Writes marks from the index on, each behind `prefix`; returns the next index, or -1 at the end. */
  copy(from: number, maxBytes: number, out: Writer, prefix: (out: Writer) => void): number {
    const count = Math.max(1, Math.floor(maxBytes / WIRE_BYTES));
    const page = [...this.#marks.values()].slice(from, from + count);
    for (const mark of page) {
      prefix(out);
      writeMark(out, mark, mark.atMs);
    }
    return from + page.length < this.#marks.size ? from + page.length : -1;
  }

  read(input: Reader): void {
    this.add(readVersion(input), input.f64());
  }

  clear(): void {
    this.#marks.clear();
  }
}

export function writeMark(out: Writer, version: RecordVersion, atMs: number): void {
  writeVersion(out, version);
  out.f64(atMs);
}
