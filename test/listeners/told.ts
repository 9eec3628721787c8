/** Partitions of a map at their primary, with a teller and whoever listens: for tests of the teller by itself. */
import { Scheduler, SimClock } from '../../chaos/sim/virtual-clock.js';
import * as messages from '../../listeners/messages.js';
import { Teller } from '../../listeners/teller.js';
import type { ListenerLink } from '../../listeners/telling.js';
import { EVENT_KINDS } from '../../partitions/events/event.js';
import type { RingLimits } from '../../partitions/events/ring.js';
import { ReplicaRings } from '../../partitions/events/rings.js';
import type { EpochStart } from '../../partitions/history.js';
import type { Predicate } from '../../partitions/query/predicate.js';
import type { PartitionReplica } from '../../partitions/replica.js';
import { encodeKey } from '../../src/wire/keys.js';
import type { BodyOf } from '../../src/wire/message.js';
import { ValueCodec } from '../../src/wire/values.js';

type Part = BodyOf<typeof messages.events>['parts'][number];
type Asked = BodyOf<typeof messages.listen>['partitions'][number];

/** What a listener asks for; left out: to be told of all partitions of the map from now on. */
interface Asks extends Partial<Omit<Asked, 'partition'>> {
  readonly structure?: string;
  readonly round?: number;
  readonly partitions?: readonly number[];
  readonly predicate?: Predicate | null;
}

interface Options {
  readonly limits?: RingLimits;
  readonly partitions?: number;
  /** Of all listeners; left out: each is a process of its own, so that none waits for another one's room. */
  readonly client?: string;
}

const codec = new ValueCodec();
const ALL = 2 ** EVENT_KINDS.length - 1;
const self = { hi: 1n, lo: 1n } as never;
const FIRST = { lineage: 1, epoch: 1, start: 0 };
export const WIDE: RingLimits = { events: 1_000, bytes: 1 << 30, memberBytes: 1 << 30 };

export class Told {
  readonly scheduler = new Scheduler();
  /** By listener: positions of the events that it was told. */
  readonly events = new Map<number, number[]>();
  readonly gaps = new Map<number, string[]>();
  readonly refused: number[] = [];
  readonly parts: Part[] = [];
  /** Messages with events or places. */
  sent = 0;
  /** Whether processes say what they have heard. */
  hears = true;
  committed = Number.POSITIVE_INFINITY;
  readonly link: { queuedBytes: number; send: ListenerLink['send'] };
  readonly teller: Teller;
  readonly #client: string | undefined;
  readonly #replicas: PartitionReplica[];

  constructor({ limits = WIDE, partitions = 1, client }: Options = {}) {
    this.#client = client;
    this.#replicas = Array.from({ length: partitions }, (_, id) => {
      const rest = { epoch: 1, history: [FIRST], complete: true, isWhole: true, find: () => undefined };
      return { id, seq: 0, rings: new ReplicaRings(), ...rest } as unknown as PartitionReplica;
    });
    this.link = { queuedBytes: 0, send: (def, body) => this.#told(def.id, body) };
    this.teller = new Teller({
      self,
      clock: new SimClock(this.scheduler, 'm1'),
      tellable: (p) => Math.min(this.#replicas[p]?.seq ?? 0, this.committed),
      leads: () => true,
      find: (p) => this.#replicas[p],
      replicas: () => this.#replicas,
      knows: () => true,
      limits,
      faults: {},
    });
  }

  /** The member leads the first partition in another epoch, with these contents. */
  led(seq: number, ...history: readonly EpochStart[]): void {
    Object.assign(this.#replicas[0] as object, { epoch: history.at(-1)?.epoch, seq, history });
  }

  /** Asks, and is told what there is. */
  async listen(listener: number, asks: Asks = {}): Promise<void> {
    this.ask(listener, asks);
    await this.scheduler.runFor(10);
  }

  ask(listener: number, asks: Asks = {}): void {
    const { structure = 'm', round = 1, predicate = null, epoch = FIRST, place = null, left = [] } = asks;
    const partitions = asks.partitions ?? this.#replicas.map(({ id }) => id);
    const asked = { to: self, round, listener, service: 1, structure, kinds: ALL, withValue: false };
    this.teller.listen(this.#clientOf(listener), this.link, {
      ...asked,
      key: null,
      predicate,
      partitions: partitions.map((partition) => ({ partition, epoch, place, left })),
    });
  }

  unlisten(listener: number): void {
    this.teller.unlisten(this.#clientOf(listener), listener);
  }

  /** A position that adds an entry with this text. */
  set(t: string): void {
    const value = codec.encode({ t });
    const seq = this.pass();
    this.#replicas[0]?.rings.find(1, 'm')?.tell(seq, 'added', encodeKey(seq), value, null);
  }

  /** A position that adds so many entries. */
  change(entries = 1): void {
    const seq = this.pass();
    const ring = this.#replicas[0]?.rings.find(1, 'm');
    for (let i = 0; i < entries; i++) ring?.tell(seq, 'added', encodeKey(i), null, null);
  }

  /** A position that changes something else. */
  pass(partition = 0): number {
    const replica = this.#replicas[partition] as PartitionReplica;
    return ++replica.seq;
  }

  /** So many listeners stay, for so long. */
  async hold(listeners: number, forMs: number): Promise<void> {
    for (let n = 0; n < listeners; n++) this.#heard(n, { round: 1, below: 0 });
    await this.scheduler.runFor(forMs);
  }

  /** Time passes, and the process says each second that it is there. */
  async live(seconds: number, round = 1): Promise<void> {
    for (let s = 0; s < seconds; s++) {
      await this.scheduler.runFor(1_000);
      this.#heard(0, { round, below: 0 });
    }
  }

  #clientOf(listener: number): string {
    return this.#client ?? `c${listener}`;
  }

  #heard(listener: number, what: { readonly round: number; readonly below: number }): void {
    this.teller.heard(this.#clientOf(listener), this.link, { to: self, ...what, asks: false });
  }

  #told(id: number, body: unknown): void {
    if (id === messages.listening.id) {
      const { listener, refused } = body as BodyOf<typeof messages.listening>;
      if (refused) this.refused.push(listener);
    }
    if (id !== messages.events.id) return;
    this.sent++;
    const { listener, parts, number, round } = body as BodyOf<typeof messages.events>;
    this.parts.push(...parts);
    for (const { what, reason, events } of parts) {
      const seqs = events.map(({ seq }) => seq);
      this.events.set(listener, [...(this.events.get(listener) ?? []), ...seqs]);
      if (what === 'gap') this.gaps.set(listener, [...(this.gaps.get(listener) ?? []), String(reason)]);
    }
    if (this.hears)
      this.scheduler.schedule(this.scheduler.now, () => this.#heard(listener, { round, below: number + 1 }));
  }
}
