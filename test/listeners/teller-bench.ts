/** Partitions of a map at their primary, by hand: what is committed, and whether the listener says that it has heard. */
import { Scheduler, SimClock } from '../../chaos/sim/virtual-clock.js';
import * as messages from '../../listeners/messages.js';
import { Teller } from '../../listeners/teller.js';
import type { ListenerLink } from '../../listeners/telling.js';
import { EVENT_KINDS } from '../../partitions/events/event.js';
import type { RingLimits } from '../../partitions/events/ring.js';
import { ReplicaRings } from '../../partitions/events/rings.js';
import type { PartitionReplica } from '../../partitions/replica.js';
import { encodeKey } from '../../src/wire/keys.js';
import type { BodyOf } from '../../src/wire/message.js';

const ALL = 2 ** EVENT_KINDS.length - 1;
const self = { hi: 1n, lo: 1n } as never;
export const WIDE: RingLimits = { events: 1_000, bytes: 1 << 30, memberBytes: 1 << 30 };
const CLIENT = 'c1';

export class TellerBench {
  readonly scheduler = new Scheduler();
  /** Positions of the events that were told. */
  readonly events: number[] = [];
  readonly gaps: string[] = [];
  readonly refused: number[] = [];
  /** Messages with events or places. */
  sent = 0;
  hears = true;
  committed = Number.POSITIVE_INFINITY;
  readonly link: { queuedBytes: number; send: ListenerLink['send'] };
  readonly teller: Teller;
  readonly #replicas: (Pick<PartitionReplica, 'id' | 'rings'> & { seq: number })[];

  constructor(limits = WIDE, partitions = 1) {
    const history = [{ lineage: 1, epoch: 1, start: 0 }];
    this.#replicas = Array.from({ length: partitions }, (_, id) => {
      const rest = { epoch: 1, history, complete: true, isWhole: true, find: () => undefined };
      return { id, seq: 0, rings: new ReplicaRings(), ...rest };
    });
    const replicas = this.#replicas as unknown as PartitionReplica[];
    this.link = { queuedBytes: 0, send: (def, body) => this.#told(def.id, body) };
    this.teller = new Teller({
      self,
      clock: new SimClock(this.scheduler, 'm1'),
      tellable: (p) => Math.min(replicas[p]?.seq ?? 0, this.committed),
      leads: () => true,
      find: (p) => replicas[p],
      replicas: () => replicas,
      knows: () => true,
      limits,
      faults: {},
    });
  }

  listen(
    listener: number,
    { structure = 'm', round = 1, partitions = this.#replicas.map(({ id }) => id) } = {},
  ): void {
    const epoch = { lineage: 1, epoch: 1 };
    const asked = { to: self, round, listener, service: 1, structure, kinds: ALL, withValue: false };
    this.teller.listen(CLIENT, this.link, {
      ...asked,
      key: null,
      predicate: null,
      partitions: partitions.map((partition) => ({ partition, epoch, place: null, left: [] })),
    });
  }

  unlisten(listener: number): void {
    this.teller.unlisten(CLIENT, listener);
  }

  /** A position of a partition that changes so many entries. */
  change(entries = 1, partition = 0): void {
    const seq = this.pass(partition);
    const ring = this.#replicas[partition]?.rings.find(1, 'm');
    for (let i = 0; i < entries; i++) ring?.tell(seq, 'added', encodeKey(i), null, null);
  }

  /** A position that changes something else. */
  pass(partition = 0): number {
    const replica = this.#replicas[partition] as { seq: number };
    return ++replica.seq;
  }

  /** Time passes, and the process says that it is there. */
  async live(seconds: number, round = 1): Promise<void> {
    for (let s = 0; s < seconds; s++) {
      await this.scheduler.runFor(1_000);
      this.teller.heard(CLIENT, this.link, { to: self, round, below: 0, asks: true });
    }
  }

  #told(id: number, body: unknown): void {
    if (id === messages.listening.id) {
      const { listener, refused } = body as BodyOf<typeof messages.listening>;
      if (refused) this.refused.push(listener);
    }
    if (id !== messages.events.id) return;
    this.sent++;
    const { parts, number, round } = body as BodyOf<typeof messages.events>;
    for (const { events, what, reason } of parts) {
      this.events.push(...events.map(({ seq }) => seq));
      if (what === 'gap') this.gaps.push(String(reason));
    }
    if (!this.hears) return;
    const heard = { to: self, round, below: number + 1, asks: false };
    this.scheduler.schedule(this.scheduler.now, () => this.teller.heard(CLIENT, this.link, heard));
  }
}
