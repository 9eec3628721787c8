/**
 * The calls of one side: the same writes and reads of the same keys to the map of every preset, at a steady rate,
 * whatever becomes of them, so that a map that answers slowly is not asked less. One write and one read of a key are
 * under way at a time in each map; a key that is still busy is left out. Every call ends up as a record.
 */
import type { Place } from '../../partitions/history.js';
import type { SeenPlaces } from '../../partitions/invoker.js';
import { tagText } from '../../src/cluster/view.js';
import { type Client, GridError } from '../../src/index.js';
import { isLatency, mapOf, PRESETS, type PresetName, SIDES, type Side } from './plan.js';
import type { ReadRecord, WriteRecord } from './records.js';

const TICK_MS = 20;
const WRITES_PER_SECOND = 20;
const READS_PER_SECOND = 100;
/** Half of them are written all the time, the others not while the sides merge, so that the merge decides on both kinds. */
const OWN_KEYS = 32;
const SHARED_KEYS = 16;
/** Calls that are made up for after this process stood still. */
const MAX_BEHIND_MS = 200;

const OWN_OF: Readonly<Record<Side, readonly string[]>> = {
  majority: keys('majority', OWN_KEYS),
  minority: keys('minority', OWN_KEYS),
};
const SHARED = keys('shared', SHARED_KEYS);
const ALL = [...SIDES.flatMap((side) => OWN_OF[side]), ...SHARED];

function keys(name: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${name}-${i}`);
}

/** `own and shared`: also those that the other side writes; `steady`: only the first half of the own ones. */
export type Written = 'own' | 'own and shared' | 'steady';

export interface Sink {
  wrote(record: WriteRecord): void;
  read(record: ReadRecord): void;
}

export class Load {
  readonly #client: Client;
  readonly #side: Side;
  readonly #sink: Sink;
  /** Of the reads with EL: apart from the writes, which would hide how far replicas are behind. */
  #session: SeenPlaces;
  readonly #busy = new Set<string>();
  readonly #underWay = new Set<Promise<void>>();
  readonly #numbers = new Map<string, number>();
  #timer: NodeJS.Timeout | null = null;
  #which: Written = 'own';
  #writes = 0;
  #reads = 0;

  constructor(client: Client, side: Side, sink: Sink) {
    this.#client = client;
    this.#side = side;
    this.#sink = sink;
    this.#session = client.session();
  }

  /** Gives every key of this side its first value. */
  async fill(): Promise<void> {
    for (const key of OWN_OF[this.#side])
      await Promise.all(PRESETS.map((preset) => this.#write(preset, key)));
  }

  start(): void {
    const due = { writes: 0, reads: 0 };
    let lastMs = performance.now();
    this.#timer = setInterval(() => {
      const nowMs = performance.now();
      const passed = Math.min(MAX_BEHIND_MS, nowMs - lastMs) / 1000;
      lastMs = nowMs;
      due.writes += passed * WRITES_PER_SECOND;
      due.reads += passed * READS_PER_SECOND;
      for (; due.writes >= 1; due.writes--) this.#each('write', this.#keyToWrite());
      for (; due.reads >= 1; due.reads--)
        this.#each('read', ALL[(this.#reads++ * 11) % ALL.length] as string);
    }, TICK_MS);
  }

  /** Which keys are written from now on. */
  write(which: Written): void {
    this.#which = which;
  }

  /** Begins no more calls; resolves when all have ended. */
  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await Promise.all(this.#underWay);
  }

  #keyToWrite(): string {
    const n = this.#writes++;
    const own = OWN_OF[this.#side];
    if (this.#which === 'own and shared' && n % 2 === 1) return SHARED[(n >> 1) % SHARED.length] as string;
    return own[(n * 7) % (this.#which === 'steady' ? own.length / 2 : own.length)] as string;
  }

  /** Each call in a turn of its own, or the answer of one would wait for the work of the others. */
  #each(kind: 'write' | 'read', key: string): void {
    for (const preset of PRESETS) {
      const name = `${kind} ${preset} ${key}`;
      if (this.#busy.has(name)) continue;
      this.#busy.add(name);
      const ended = new Promise<void>((resolve) => setImmediate(resolve))
        .then(() => (kind === 'write' ? this.#write(preset, key) : this.#read(preset, key)))
        .finally(() => {
          this.#busy.delete(name);
          this.#underWay.delete(ended);
        });
      this.#underWay.add(ended);
    }
  }

  async #write(preset: PresetName, key: string): Promise<void> {
    const name = `${preset} ${key}`;
    const n = (this.#numbers.get(name) ?? 0) + 1;
    this.#numbers.set(name, n);
    const value = `${this.#side}:${n}`;
    const seen = new Watched();
    const map = this.#client.getMap<string, string>(mapOf(preset));
    const startMs = performance.now();
    let [outcome, error]: [WriteRecord['outcome'], string] = ['acknowledged', ''];
    try {
      await (preset === 'PA/EL' ? map.with({ session: seen }) : map).set(key, value);
    } catch (thrown) {
      outcome = thrown instanceof GridError && thrown.definite ? 'refused' : 'unknown';
      error = nameOf(thrown);
    }
    const endMs = performance.now();
    const history = seen.last === null ? '' : historyOf(tagText(seen.last.lineage), seen.last.epoch);
    this.#sink.wrote({ preset, side: this.#side, key, value, n, outcome, error, history, startMs, endMs });
  }

  async #read(preset: PresetName, key: string): Promise<void> {
    const map = this.#client.getMap<string, string>(mapOf(preset));
    const asked = isLatency(preset) ? map.with({ session: this.#session }) : map;
    const startMs = performance.now();
    const call = { preset, side: this.#side, key, startMs };
    try {
      const { value, source, ageMs, lineage, position } = await asked.getWithMeta(key);
      const endMs = performance.now();
      const history = historyOf(lineage, position.view);
      this.#sink.read({ ...call, value, error: '', source, boundMs: ageMs, history, endMs });
    } catch (thrown) {
      const endMs = performance.now();
      const error = nameOf(thrown);
      if (error === 'SessionLostError') this.#session = this.#client.session();
      const boundMs = Number.POSITIVE_INFINITY;
      this.#sink.read({ ...call, value: null, error, source: null, boundMs, history: '', endMs });
    }
  }
}

function historyOf(lineage: string, view: number): string {
  return `${lineage}/${view}`;
}

/** A session for one write, which only learns where it was applied. */
class Watched implements SeenPlaces {
  last: Place | null = null;

  lowest(): Place | null {
    return null;
  }

  saw(_partition: number, place: Place): void {
    this.last = place;
  }
}

/** What a timeout was waiting for says more than that it was one. */
function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.name === 'TimeoutError' && error.cause instanceof GridError ? error.cause.name : error.name;
}
