/**
 * Holds what listeners were told against what they are promised: between two gaps of a partition nothing is missing, nothing
 * comes twice, and nothing out of order. Values are written once each, so the old value of each event says whether the one
 * before it was told. Called by the judges of listeners. Invariant: an event that nothing can be said about counts for
 * nothing: `links` tells how many were held against the one before.
 */
import type { GapReason } from '../../partitions/events/listening.js';

export interface ToldEvent {
  readonly what: 'event';
  readonly kind: string;
  readonly key: string;
  readonly value: unknown;
  readonly old: unknown;
  readonly partition: number;
  readonly lineage: string;
  readonly view: number;
  readonly sequence: number;
  readonly index: number;
}

export interface ToldGap {
  readonly what: 'gap';
  readonly partition: number;
  readonly reason: GapReason;
}

/** What a listener was told, and when, in virtual ms. */
export type ToldAt = (ToldEvent | ToldGap) & { readonly atMs: number };

/** An acknowledged write with a value of its own that a listener must have heard of. */
export interface DueWrite {
  readonly key: string;
  readonly value: unknown;
  readonly callMs: number;
  readonly retMs: number;
}

export interface HeardBy {
  /** For people. */
  readonly name: string;
  /** In the order in which it was told. */
  readonly told: readonly (ToldEvent | ToldGap)[];
  /** What keys have in the end that the listener must have heard of, when it goes on to the end; null: it does not. */
  readonly final: ReadonlyMap<string, unknown> | null;
  /** What keys had while nothing changed, after so many of what was told: null for none. Left out: nobody looked. */
  readonly rest?: { readonly after: number; readonly found: ReadonlyMap<string, unknown> };
}

export interface ListenersVerdict {
  readonly problems: string[];
  /** Events that go on from the one before of their key. */
  readonly links: number;
}

export interface ListenersRules {
  readonly partitionOf: (key: string) => number;
  /** Reasons that must not come up in this run. */
  readonly unexpected: readonly GapReason[];
}

export function checkListeners(heard: readonly HeardBy[], rules: ListenersRules): ListenersVerdict {
  const problems: string[] = [];
  let links = 0;
  for (const one of heard) {
    const check = new OneListener(one.name, rules);
    const { told, rest } = one;
    for (let i = 0; i <= told.length; i++) {
      if (rest?.after === i) check.rest(rest.found);
      const next = told[i];
      if (next?.what === 'gap') check.gap(next);
      else if (next !== undefined) check.event(next);
    }
    if (one.final !== null) check.end(one.final);
    problems.push(...check.problems);
    links += check.links;
  }
  return { problems, links };
}

/**
 * No write is passed over in silence: a listener was told of it, or of a gap of its partition after it was called, and before
 * any write of the partition that was called when this one had been answered. A line for each that was.
 */
export function checkTold(
  name: string,
  told: readonly ToldAt[],
  due: readonly DueWrite[],
  partitionOf: (key: string) => number,
): string[] {
  const nameOf = ({ key, value }: { readonly key: string; readonly value: unknown }) => `${key} ${value}`;
  const values = new Set(told.flatMap((one) => (one.what === 'event' ? [nameOf(one)] : [])));
  const called = new Map(due.map((write) => [nameOf(write), write.callMs]));
  const silent = due.filter((write) => {
    if (values.has(nameOf(write))) return false;
    const partition = partitionOf(write.key);
    for (const one of told) {
      if (one.what === 'gap') {
        if (one.partition === partition && one.atMs >= write.callMs) return false;
      } else if (partitionOf(one.key) === partition && (called.get(nameOf(one)) ?? -1) > write.retMs)
        return true;
    }
    return true;
  });
  return silent.map(
    ({ key, value, callMs }) =>
      `${name}: was told neither of ${String(value)} of ${key}, written at ${callMs.toFixed(0)} ms, nor of a gap after it`,
  );
}

class OneListener {
  readonly problems: string[] = [];
  links = 0;
  readonly #name: string;
  readonly #rules: ListenersRules;
  /** By key: what it has, as far as was told since the last gap. */
  readonly #known = new Map<string, unknown>();
  readonly #seen = new Set<string>();
  readonly #last = new Map<number, ToldEvent>();
  /** By partition and lineage: the latest position, whatever gaps there were. */
  readonly #latest = new Map<string, ToldEvent>();

  constructor(name: string, rules: ListenersRules) {
    this.#name = name;
    this.#rules = rules;
  }

  #problem(text: string): void {
    this.problems.push(`${this.#name}: ${text}`);
  }

  gap({ partition, reason }: ToldGap): void {
    if (this.#rules.unexpected.includes(reason))
      this.#problem(`a gap of partition ${partition} for the reason ${reason}`);
    for (const key of [...this.#known.keys()])
      if (this.#rules.partitionOf(key) === partition) this.#known.delete(key);
    this.#last.delete(partition);
  }

  event(event: ToldEvent): void {
    const { key, value, old, partition, lineage, view, sequence, index } = event;
    const name = `${partition} ${lineage} ${view} ${sequence}.${index}`;
    const isTwice = this.#seen.has(name);
    if (isTwice) this.#problem(`${text(event)} came twice`);
    this.#seen.add(name);
    const last = this.#last.get(partition);
    const latest = this.#latest.get(`${partition} ${lineage}`);
    if (last !== undefined && !isAfter(event, last))
      this.#problem(`${text(event)} came behind ${text(last)}`);
    else if (latest !== undefined && !isTwice && !isLater(event, latest))
      this.#problem(`${text(event)} came after a gap behind ${text(latest)}`);
    this.#last.set(partition, event);
    this.#latest.set(`${partition} ${lineage}`, event);
    if (this.#known.has(key)) {
      this.links++;
      const before = this.#known.get(key);
      if (before !== old)
        this.#problem(`${text(event)} says that ${key} had ${String(old)}; it was told ${String(before)}`);
    }
    this.#known.set(key, value);
  }

  /** What it believes is what there is. */
  rest(found: ReadonlyMap<string, unknown>): void {
    for (const [key, value] of found) {
      const known = this.#known.get(key);
      if (this.#known.has(key) && known !== value)
        this.#problem(
          `at rest ${key} has ${String(value)}; it was told ${String(known)}, and of no gap since`,
        );
    }
  }

  end(final: ReadonlyMap<string, unknown>): void {
    for (const [key, value] of final) {
      const known = this.#known.get(key);
      if (known !== value)
        this.#problem(`in the end ${key} has ${String(value)}; it was told ${String(known)}`);
    }
  }
}

type Position = Pick<ToldEvent, 'lineage' | 'view' | 'sequence' | 'index'>;

/** Of one history, and later in it. */
export function isAfter(a: Position, b: Position): boolean {
  if (a.lineage !== b.lineage) return false;
  if (a.view !== b.view) return a.view > b.view && a.sequence > b.sequence;
  return a.sequence > b.sequence || (a.sequence === b.sequence && a.index > b.index);
}

/** Of one lineage; a gap may have left out positions that a later takeover has used anew. */
function isLater(a: ToldEvent, b: ToldEvent): boolean {
  if (a.view !== b.view) return a.view > b.view;
  return a.sequence > b.sequence || (a.sequence === b.sequence && a.index > b.index);
}

function text({ kind, key, value, view, sequence, index }: ToldEvent): string {
  return `${kind} ${key} ${String(value)} (${view}: ${sequence}.${index})`;
}
