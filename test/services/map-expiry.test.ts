/** That housekeeping keeps up with entries that come and expire all the time, and with loads that find nothing. */
import { describe, expect, it } from 'vitest';
import type { PurgeHorizon } from '../../partitions/service.js';
import { MAP_OPERATIONS as ops } from '../../partitions/services/map/ops.js';
import { MAP } from '../../partitions/services/map/proxy.js';
import type { MapState } from '../../partitions/services/map/state.js';
import type { ReplicationHost } from '../../replication/host.js';
import type { PrimaryStream } from '../../replication/primary.js';
import { Purger, STEPS } from '../../replication/purger.js';
import { encodeKey } from '../../src/wire/keys.js';
import { Primary, Replica, START_MS } from './partition-harness.js';

const VISIT_MS = 6_000;
const TTL_MS = 60_000;
/** Of removals, as `forkRetentionMs`. */
const RETENTION_MS = 60_000;

/** What the purger of a member sees of one partition whose backups have everything. */
class Visited {
  readonly primary = new Primary(MAP.service);
  readonly purger: Purger;
  steps = 0;
  #keys = 0;

  constructor() {
    const purge = (cursor: number, horizon: PurgeHorizon) => {
      this.steps++;
      return this.primary.purge(cursor, horizon);
    };
    const own = (_replica: unknown, _service: unknown, _name: unknown, act: (context: never) => void) => {
      act(undefined as never);
      return true;
    };
    const service = () => ({ purge: (_state: never, ...step: Parameters<typeof purge>) => purge(...step) });
    const outside = { loadingSince: () => Number.POSITIVE_INFINITY };
    const executor = () => ({ own, service, outside });
    this.purger = new Purger({ executor } as unknown as ReplicationHost);
  }

  get state(): MapState {
    return this.primary.state as MapState;
  }

  load(value: string | null): void {
    const { primary } = this;
    const token = ++this.#keys;
    const key = encodeKey(`k${token}`);
    const request = { key, client: 9, token, leaseMs: 1_000, staleMs: 0 };
    const { fence } = primary.run(ops.beginLoad, request).reply as { fence: object };
    const bytes = value === null ? null : Buffer.from(value);
    primary.run(ops.finishLoad, { key, fence, value: bytes, ttlMs: TTL_MS, staleMs: 0 });
  }

  visit(): number {
    const { primary } = this;
    primary.nowMs += VISIT_MS;
    primary.wallMs += VISIT_MS;
    // Versions come from the clock too.
    primary.versions = Math.max(primary.versions, (primary.wallMs - START_MS) * 4);
    const replica = {
      id: 0,
      find: () => primary.state,
      structures: () => [{ serviceId: MAP.service.id, name: 'x' }],
      get seq() {
        return primary.seq;
      },
      get everywhereSeq() {
        return primary.seq;
      },
    };
    const stream = { replica, slots: new Map(), entry: { moving: false, settled: true } };
    primary.expireAll();
    const before = this.steps;
    this.purger.step([stream as unknown as PrimaryStream], primary.wallMs - RETENTION_MS);
    return this.steps - before;
  }
}

describe('housekeeping of a map', () => {
  it('keeps entries and marks bounded while entries come and expire all the time, on backups alike', () => {
    const visited = new Visited();
    const backup = new Replica(MAP.service);
    let applied = 0;
    const [perVisit, visits] = [300, 50];
    let mostEntries = 0;
    let mostRecords = 0;
    for (let visit = 0; visit < visits; visit++) {
      for (let i = 0; i < perVisit; i++) visited.load('v');
      expect(visited.visit()).toBeLessThanOrEqual(STEPS);
      mostEntries = Math.max(mostEntries, visited.state.entryCount);
      if (visit % 10 === 9) mostRecords = Math.max(mostRecords, visited.state.dump().length);
      for (const entry of visited.primary.log.slice(applied)) backup.apply(entry);
      applied = visited.primary.log.length;
      expect(backup.state.entryCount).toBe(visited.state.entryCount);
    }
    expect(backup.state.dump()).toEqual(visited.state.dump());
    const fresh = (perVisit * TTL_MS) / VISIT_MS;
    expect(mostEntries).toBeLessThan(2 * fresh);
    expect(mostRecords).toBeLessThan(4 * fresh);
    for (let i = 0; i < 40; i++) visited.visit();
    expect([visited.state.entryCount, visited.state.sizeBytes]).toEqual([0, 0]);
  });

  it('takes one step in a visit that finds nothing', () => {
    const visited = new Visited();
    for (let i = 0; i < 5_000; i++) visited.load('v');
    for (let i = 0; i < 4; i++) expect(visited.visit()).toBe(1);
  });

  it('keeps up with loads that find nothing, in a partition with many entries', () => {
    const visited = new Visited();
    const { primary } = visited;
    for (let i = 0; i < 10_000; i++)
      primary.run(ops.set, { key: encodeKey(`there ${i}`), value: Buffer.from('v') });
    for (let visit = 0; visit < 8; visit++) {
      for (let i = 0; i < 1_500; i++) visited.load(null);
      visited.visit();
      expect(visited.state.loads.count).toBe(0);
    }
  });
});
