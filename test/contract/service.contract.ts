/**
 * What every data structure promises to replication and migration, whatever it stores. Run for each structure with
 * arbitraries of its requests; knows only the contract of `partitions/service.ts`.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { StructureOptions } from '../../partitions/service.js';
import type { StructureModule } from '../../partitions/services/structure.js';
import { GridError } from '../../src/base/errors.js';
import { type AnyOperation, FIRST_OPERATION, type RequestOf } from '../../src/wire/message.js';
import { EventLog } from '../services/event-log.js';
import { type Outcome, Primary, Replica, START_MS } from '../services/partition-harness.js';

/** An arbitrary of requests for every operation of a table. */
export type Arbitraries<O extends Readonly<Record<string, AnyOperation>>> = {
  readonly [K in keyof O]: fc.Arbitrary<RequestOf<O[K]>>;
};

interface Call {
  readonly operation: AnyOperation;
  readonly request: unknown;
}

/** What happens while a replica is being copied. */
type Step =
  | { readonly kind: 'call'; readonly call: Call }
  /** The primary copies a chunk of about so many bytes. */
  | { readonly kind: 'take'; readonly maxBytes: number }
  /** The replica applies so many deltas. */
  | { readonly kind: 'deliver'; readonly count: number }
  /** The replica gets a chunk that is under way, not always the oldest. */
  | { readonly kind: 'paste'; readonly pick: number }
  | { readonly kind: 'purge' };

/** Runs an operation; null when it is refused, which leaves nothing behind. */
function attempt(primary: Primary, operation: AnyOperation, request: unknown): Outcome | null {
  const { seq } = primary;
  try {
    return primary.run(operation, request);
  } catch (error) {
    if (!(error instanceof GridError)) throw error;
    expect(primary.seq, 'position after a refusal').toBe(seq);
    return null;
  }
}

export function serviceContract<O extends Readonly<Record<string, AnyOperation>>>(
  module: StructureModule,
  operations: O,
  arbitraries: Arbitraries<O>,
  /** Of the structure; left out: the defaults. */
  options?: StructureOptions,
): void {
  const { service } = module;
  const call: fc.Arbitrary<Call> = fc.oneof(
    ...Object.keys(operations).map((name) => {
      const request = arbitraries[name] as fc.Arbitrary<unknown>;
      return request.map((body) => ({ operation: operations[name] as AnyOperation, request: body }));
    }),
  );
  const calls = fc.array(call, { maxLength: 60, size: 'max' });

  function fresh(): Primary {
    const primary = new Primary(service);
    if (options !== undefined) primary.options = options;
    return primary;
  }

  /** A primary after these calls, each between two purges of what an earlier half wrote. */
  function primaryAfter(list: readonly Call[], purgeEvery = Number.POSITIVE_INFINITY): Primary {
    const primary = fresh();
    list.forEach(({ operation, request }, i) => {
      attempt(primary, operation, request);
      if ((i + 1) % purgeEvery === 0) primary.purgeAll({ seq: primary.seq >> 1, ms: START_MS + 1_000_000 });
    });
    return primary;
  }

  describe(`service contract: ${service.name}`, () => {
    it('has a handler for every operation and an operation for every handler', () => {
      const names = service.operations.map(({ name }) => name.slice(service.name.length + 1));
      expect(Object.keys(service.handlers).sort()).toEqual(names.sort());
      expect(Object.keys(operations).sort()).toEqual(names);
      for (const [name, { name: full }] of Object.entries(operations))
        expect(full).toBe(`${service.name}.${name}`);
    });

    it('numbers its operations uniquely, inside the range of its own number', () => {
      const ids = service.operations.map(({ id }) => id);
      expect(new Set(ids).size).toBe(ids.length);
      const first = FIRST_OPERATION + service.id * 256;
      for (const id of ids) expect(id > first && id < first + 256, `${id}`).toBe(true);
      for (const { request, reply, id } of service.operations)
        expect([request.id, reply.id]).toEqual([id, id]);
    });

    it('has options with defaults and without unknown keys', () => {
      const defaults = module.options.parse({});
      expect(defaults).toMatchObject({
        backups: { sync: 1, async: 0 },
        minSynced: 0,
        backupTimeoutMs: 5_000,
      });
      expect(module.options.parse(defaults)).toEqual(defaults);
      expect(module.options.safeParse({ backupTimeout: 1 }).success).toBe(false);
    });

    it('starts without entries', () => {
      const { state } = new Replica(service);
      expect(state.entryCount).toBe(0);
      expect(state.dump()).toEqual([]);
    });

    it('gives a backup that replays its deltas the same contents, purges included', () => {
      const property = fc.property(calls, fc.integer({ min: 3, max: 30 }), (list, purgeEvery) => {
        const primary = primaryAfter(list, purgeEvery);
        const backup = new Replica(service);
        for (const entry of primary.log) backup.apply(entry);
        expect(backup.state.dump()).toEqual(primary.state.dump());
        expect(backup.state.entryCount).toBe(primary.state.entryCount);
        expect(backup.state.sizeBytes).toBe(primary.state.sizeBytes);
      });
      fc.assert(property);
    });

    it('tells the same events where it runs an operation and where it applies the delta', () => {
      const property = fc.property(calls, fc.integer({ min: 3, max: 30 }), (list, purgeEvery) => {
        const primary = fresh();
        if (primary.state.events === undefined) return;
        const told = new EventLog();
        primary.state.events = told;
        list.forEach(({ operation, request }, i) => {
          attempt(primary, operation, request);
          if ((i + 1) % purgeEvery === 0)
            primary.purgeAll({ seq: primary.seq >> 1, ms: START_MS + 1_000_000 });
        });
        const backup = new Replica(service);
        const toldThere = new EventLog();
        backup.state.events = toldThere;
        for (const entry of primary.log) backup.apply(entry);
        expect(toldThere.lines).toEqual(told.lines);
        expect(told.problems()).toEqual([]);
        const late = new Replica(service);
        const silent = new EventLog();
        late.state.events = silent;
        for (let cursor = 0; cursor >= 0; ) {
          const { chunk, next } = primary.copy(cursor, 500);
          late.paste(chunk);
          cursor = next;
        }
        expect(silent.lines).toEqual([]);
      });
      fc.assert(property);
    });

    it('says the resulting state in a delta: applied twice it changes no more', () => {
      const property = fc.property(calls, (list) => {
        const backup = new Replica(service);
        for (const entry of primaryAfter(list, 10).log) {
          backup.apply(entry);
          const once = backup.state.dump();
          backup.apply(entry);
          expect(backup.state.dump()).toEqual(once);
        }
      });
      fc.assert(property, { numRuns: 40 });
    });

    it('records a delta exactly when it changes its contents', () => {
      const property = fc.property(calls, (list) => {
        const primary = fresh();
        for (const { operation, request } of list) {
          const before = primary.state.dump();
          const { seq } = primary;
          attempt(primary, operation, request);
          const isChanged = primary.state.dump().join() !== before.join();
          // A read may make a change of its own that only counts it.
          if (operation.kind === 'write' || isChanged)
            expect(primary.seq > seq, operation.name).toBe(isChanged);
        }
      });
      fc.assert(property, { numRuns: 40 });
    });

    it('copies itself in chunks of any size beside live deltas', () => {
      const step: fc.Arbitrary<Step> = fc.oneof(
        { weight: 6, arbitrary: call.map((body) => ({ kind: 'call' as const, call: body })) },
        {
          weight: 3,
          arbitrary: fc
            .integer({ min: 0, max: 600 })
            .map((maxBytes) => ({ kind: 'take' as const, maxBytes })),
        },
        { weight: 3, arbitrary: fc.nat({ max: 4 }).map((count) => ({ kind: 'deliver' as const, count })) },
        { weight: 3, arbitrary: fc.nat({ max: 3 }).map((pick) => ({ kind: 'paste' as const, pick })) },
        { weight: 1, arbitrary: fc.constant({ kind: 'purge' as const }) },
      );
      const property = fc.property(calls, fc.array(step, { maxLength: 80, size: 'max' }), (before, steps) => {
        const migration = new Migration(primaryAfter(before, 20));
        for (const each of steps) migration.step(each);
        migration.finish();
        expect(migration.replica.state.dump()).toEqual(migration.primary.state.dump());
        expect(migration.replica.state.entryCount).toBe(migration.primary.state.entryCount);
      });
      fc.assert(property, { numRuns: 200 });
    });

    it('copies at least one record a chunk, and ends', () => {
      const property = fc.property(calls, fc.nat({ max: 200 }), (list, maxBytes) => {
        const primary = primaryAfter(list);
        const records = primary.state.dump().length;
        let chunks = 0;
        for (let cursor = 0; cursor >= 0; ) {
          const { chunk, next } = primary.copy(cursor, maxBytes);
          if (chunk.length > 0) chunks++;
          expect(next === -1 || next > cursor).toBe(true);
          cursor = next;
        }
        expect(chunks).toBeLessThanOrEqual(records);
        expect(chunks > 0).toBe(records > 0);
      });
      fc.assert(property, { numRuns: 40 });
    });

    it('keeps what is newer when old records are put over it', () => {
      const property = fc.property(calls, calls, (list, more) => {
        const primary = primaryAfter(list);
        const { chunk } = primary.copy(0, Number.MAX_SAFE_INTEGER);
        for (const { operation, request } of more) attempt(primary, operation, request);
        const contents = primary.state.dump();
        primary.paste(chunk);
        expect(primary.state.dump()).toEqual(contents);
      });
      fc.assert(property, { numRuns: 40 });
    });

    it('purges removals behind the horizon and nothing that a user can see', () => {
      const property = fc.property(calls, (list) => {
        const primary = primaryAfter(list);
        const visible = primary.state.dump().filter((line) => !line.endsWith('tombstone'));
        const entries = primary.state.entryCount;
        primary.purgeAll({ seq: 0, ms: Number.POSITIVE_INFINITY });
        expect(primary.log.length).toBe(primary.seq);
        primary.purgeAll();
        expect(primary.state.dump()).toEqual(visible);
        expect(primary.state.entryCount).toBe(entries);
      });
      fc.assert(property, { numRuns: 40 });
    });

    it('gives all memory back when it is dropped', () => {
      const property = fc.property(calls, (list) => {
        const primary = primaryAfter(list);
        const backup = new Replica(service);
        for (const entry of primary.log) backup.apply(entry);
        for (const { state, slab } of [primary, backup]) {
          state.dispose();
          expect(slab.usedBytes).toBe(0);
          expect(state.entryCount).toBe(0);
          expect(state.sizeBytes).toBe(0);
        }
      });
      fc.assert(property, { numRuns: 40 });
    });
  });
}

/**
 * A replica that gets a copy and the stream at once. The rules that migration keeps: a chunk that was taken at a
 * position is put only after the replica has applied the stream up to there, and nothing is purged while a chunk is
 * under way.
 */
class Migration {
  readonly primary: Primary;
  readonly replica: Replica;
  #cursor = 0;
  #applied: number;
  readonly #underWay: { readonly at: number; readonly chunk: Buffer }[] = [];

  constructor(primary: Primary) {
    this.primary = primary;
    this.replica = new Replica(primary.service);
    this.#applied = primary.seq;
  }

  step(step: Step): void {
    if (step.kind === 'call') attempt(this.primary, step.call.operation, step.call.request);
    else if (step.kind === 'take') this.#take(step.maxBytes);
    else if (step.kind === 'deliver') this.#deliver(step.count);
    else if (step.kind === 'paste') this.#paste(step.pick);
    else if (this.#underWay.length === 0) this.primary.purgeAll();
  }

  finish(): void {
    while (this.#cursor >= 0) this.#take(300);
    this.#deliver(Number.POSITIVE_INFINITY);
    while (this.#underWay.length > 0) this.#paste(0);
  }

  #take(maxBytes: number): void {
    if (this.#cursor < 0) return;
    const { chunk, next } = this.primary.copy(this.#cursor, maxBytes);
    this.#underWay.push({ at: this.primary.seq, chunk });
    this.#cursor = next;
  }

  #deliver(count: number): void {
    for (const entry of this.primary.log.slice(this.#applied).slice(0, count)) {
      this.replica.apply(entry);
      this.#applied = entry.seq;
    }
  }

  #paste(pick: number): void {
    const index = pick % Math.max(1, this.#underWay.length);
    const picked = this.#underWay[index];
    if (picked === undefined || picked.at > this.#applied) return;
    this.#underWay.splice(index, 1);
    this.replica.paste(picked.chunk);
  }
}
