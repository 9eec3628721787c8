/**
 * What tests hold listeners against: each event of a key goes on from the one before, by its old value. Nothing may be
 * missing between two gaps of its partition, nothing twice, and nothing out of order.
 */

import { partitionOfKey } from '../../partitions/placement.js';
import type { EntryListener, GapEvent } from '../../partitions/services/proxy-listeners.js';
import { encodeKey } from '../../src/wire/keys.js';

interface Told {
  readonly kind: string;
  readonly key: string;
  readonly value: unknown;
  readonly old: unknown;
  readonly sequence: number;
  readonly index: number;
}

export class Chain {
  readonly gaps: GapEvent[] = [];
  readonly told: Told[] = [];
  readonly problems: string[] = [];
  readonly #partitionCount: number;
  /** By key: what it has since the last gap; undefined when that is not known. */
  readonly now = new Map<string, unknown>();
  readonly #last = new Map<number, { readonly sequence: number; readonly index: number }>();

  constructor(partitionCount: number) {
    this.#partitionCount = partitionCount;
  }

  partitionOf(key: string): number {
    return partitionOfKey(encodeKey(key), this.#partitionCount);
  }

  get listener(): EntryListener<string, unknown> {
    const kinds = 'added removed updated merged evicted expired'.split(' ');
    const note = (kind: string) => (event: never) => this.#note(kind, event);
    return {
      ...Object.fromEntries(kinds.map((kind) => [kind, note(kind)])),
      gap: (gap: GapEvent) => {
        this.gaps.push(gap);
        for (const key of [...this.now.keys()])
          if (this.partitionOf(key) === gap.partition) this.now.delete(key);
        // Another history begins at lower positions, perhaps.
        if (gap.reason === 'lineage' || gap.reason === 'lost') this.#last.delete(gap.partition);
      },
    } as EntryListener<string, unknown>;
  }

  #note(
    kind: string,
    {
      key,
      value,
      oldValue,
      position,
    }: {
      readonly key: string;
      readonly value: unknown;
      readonly oldValue: unknown;
      readonly position: { readonly partition: number; readonly sequence: number; readonly index: number };
    },
  ): void {
    const { sequence, index, partition } = position;
    this.told.push({ kind, key, value, old: oldValue, sequence, index });
    const before = this.now.get(key);
    if (before !== undefined && before !== oldValue)
      this.problems.push(`${kind} ${key}: it had ${before} before, not ${oldValue}`);
    this.now.set(key, value);
    const last = this.#last.get(partition);
    if (
      last !== undefined &&
      (sequence < last.sequence || (sequence === last.sequence && index <= last.index))
    )
      this.problems.push(`${kind} ${key}: ${sequence}.${index} came behind ${last.sequence}.${last.index}`);
    this.#last.set(partition, { sequence, index });
  }
}
