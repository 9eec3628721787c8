/** One partition of a map at its primary, with a teller and whoever listens: for tests of the teller by itself. */
import { Scheduler, SimClock } from '../../chaos/sim/virtual-clock.js';
import * as messages from '../../listeners/messages.js';
import { Teller } from '../../listeners/teller.js';
import type { ListenerLink } from '../../listeners/telling.js';
import { EVENT_KINDS } from '../../partitions/events/event.js';
import type { EventRing } from '../../partitions/events/ring.js';
import type { EpochStart } from '../../partitions/history.js';
import type { Predicate } from '../../partitions/query/predicate.js';
import type { PartitionReplica } from '../../partitions/replica.js';
import { encodeKey } from '../../src/wire/keys.js';
import type { BodyOf } from '../../src/wire/message.js';
import { ValueCodec } from '../../src/wire/values.js';

const codec = new ValueCodec();
const ALL = 2 ** EVENT_KINDS.length - 1;
const self = { hi: 1n, lo: 1n } as never;

type Part = BodyOf<typeof messages.events>['parts'][number];
type Asked = BodyOf<typeof messages.listen>['partitions'][number];

const BEGIN: Asked = { partition: 0, epoch: { lineage: 1, epoch: 1 }, place: null, left: [] };

export class Told {
  readonly scheduler = new Scheduler();
  readonly events = new Map<number, number[]>();
  readonly gaps = new Map<number, string[]>();
  readonly refused: number[] = [];
  readonly parts: Part[] = [];
  readonly teller: Teller;
  readonly #rings = new Map<string, EventRing>();
  readonly #replica = {
    id: 0,
    epoch: 1,
    seq: 0,
    history: [{ lineage: 1, epoch: 1, start: 0 }],
    complete: true,
    isWhole: true,
    find: () => undefined,
    rings: {
      find: (_service: number, name: string) => this.#rings.get(name) ?? null,
      set: (_service: number, name: string, ring: EventRing) => void this.#rings.set(name, ring),
      names: () => [],
    },
  };
  readonly #link: ListenerLink;

  constructor(events = 1_000) {
    const replica = this.#replica as unknown as PartitionReplica;
    this.#link = { queuedBytes: 0, send: (def, body) => this.#heard(def, body) };
    this.teller = new Teller({
      self,
      clock: new SimClock(this.scheduler, 'm1'),
      tellable: () => this.#replica.seq,
      leads: () => true,
      find: () => replica,
      replicas: () => [replica],
      knows: () => true,
      limits: { events, bytes: 1 << 30, memberBytes: 1 << 30 },
      faults: {},
    });
  }

  /** The member leads the partition in another epoch, with these contents. */
  led(seq: number, ...history: readonly EpochStart[]): void {
    Object.assign(this.#replica, { epoch: history.at(-1)?.epoch, seq, history });
  }

  async listen(number: number, predicate: Predicate | null, asks: Partial<Asked> = {}): Promise<void> {
    const asked = { to: self, round: 1, listener: number, service: 1, structure: 'm', kinds: ALL };
    const partitions = [{ ...BEGIN, ...asks }];
    // Each a process of its own, so that none waits for another one's room.
    const body = { ...asked, withValue: false, key: null, predicate, partitions };
    this.teller.listen(`c${number}`, this.#link, body);
    await this.scheduler.runFor(10);
  }

  set(t: string): void {
    const seq = ++this.#replica.seq;
    this.#rings.get('m')?.tell(seq, 'added', encodeKey(seq), codec.encode({ t }), null);
  }

  /** As whoever listens does to be told further. */
  async hold(listeners: number, forMs: number): Promise<void> {
    const heard = { to: self, round: 1, below: 0, asks: false };
    for (let n = 0; n < listeners; n++) this.teller.heard(`c${n}`, this.#link, heard);
    await this.scheduler.runFor(forMs);
  }

  #heard(def: { readonly id: number }, body: unknown): void {
    if (def.id === messages.listening.id) {
      const { listener, refused } = body as BodyOf<typeof messages.listening>;
      if (refused) this.refused.push(listener);
    }
    if (def.id !== messages.events.id) return;
    const { listener, parts, number } = body as BodyOf<typeof messages.events>;
    this.parts.push(...parts);
    for (const { what, reason, events } of parts) {
      const all = this.events.get(listener) ?? [];
      all.push(...events.map(({ seq }) => seq));
      this.events.set(listener, all);
      if (what === 'gap') this.gaps.set(listener, [...(this.gaps.get(listener) ?? []), String(reason)]);
    }
    const heard = { to: self, round: 1, below: number + 1, asks: false };
    this.scheduler.schedule(this.scheduler.now, () => this.teller.heard(`c${listener}`, this.#link, heard));
  }
}
