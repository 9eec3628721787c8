/**
 * How lineages find each other and become one: asks connected processes that are in no known view where they are, and
 * asks the lineage that stays to take this one in. Owned by `lineages.ts`.
 */
import type { MessageDef } from '../wire/message.js';
import * as messages from './messages.js';
import { Others } from './others.js';
import type { Roster } from './roster.js';
import { hasMember, lineageTag, type MemberId, type StructureRow, type View } from './view.js';

export interface MeetingHost {
  send<T>(to: MemberId, def: MessageDef<T>, body: T): void;
  /** This process has to be reachable before others can hear it. */
  connect(id: MemberId, address: string): void;
  /** Processes that there is a connection to. */
  connected(): Iterable<MemberId>;
  /** What this member brings along when it joins. */
  joinRequest(): {
    readonly address: string;
    readonly partitionCount: number;
    readonly structures: readonly StructureRow[];
  };
  /** Two clusters that were both founded by order have met. */
  refused(other: View): void;
}

export class Meeting {
  readonly #self: MemberId;
  readonly #suspicionMs: number;
  readonly #host: MeetingHost;
  readonly others: Others;
  #probedMs = Number.NEGATIVE_INFINITY;

  constructor(roster: Roster, suspicionMs: number, host: MeetingHost) {
    this.#self = roster.self;
    this.#suspicionMs = suspicionMs;
    this.#host = host;
    this.others = new Others(roster, suspicionMs);
  }

  /** To be called at each heartbeat; `own`: the view that this member is in, `chain`: the newest one of its chain. */
  tick(own: View, chain: View | null, nowMs: number): void {
    this.#probe(own, nowMs);
    const { target, refusing } = this.others.best(own, chain, nowMs);
    if (refusing !== null) this.#host.refused(refusing);
    if (target === null) return;
    this.askToJoin(target, { lineage: own.lineage, members: own.members.map(({ id }) => id) });
  }

  /** Processes that are connected and in no view known here may be in a lineage that nobody here has heard of. */
  #probe(own: View, nowMs: number): void {
    if (nowMs - this.#probedMs < this.#suspicionMs) return;
    this.#probedMs = nowMs;
    const views = [own, ...this.others.views()];
    for (const id of this.#host.connected())
      if (!views.some((view) => hasMember(view, id)))
        this.#host.send(id, messages.viewRequest, { lineage: 0, have: 0 });
  }

  /** Asks the members of a view to be admitted; `source`: the lineage that comes along as a whole. */
  askToJoin(view: View, source: { lineage: string; members: MemberId[] } | null): void {
    this.others.asked(view.lineage);
    const body = { ...this.#host.joinRequest(), lineage: lineageTag(view.lineage), source };
    for (const { id, address } of view.members) {
      if (id === this.#self) continue;
      this.#host.connect(id, address);
      this.#host.send(id, messages.join, body);
    }
  }
}
