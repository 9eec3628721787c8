/**
 * Orders of people to the cluster: that it counts as founded by order, that members are dead for good, that the contents
 * of partitions are given up. One member takes an order and tells all others; whoever proposes the next view puts it
 * into effect. Called by the member's composition and for clients.
 */
import type { Logger } from '../base/ports.js';
import type { Lineages } from '../cluster/lineages.js';
import { order } from '../cluster/messages.js';
import { lineageTag, MAX_MEMBERS, type MemberId, missingFrom, type View } from '../cluster/view.js';
import type { AdminCommand, AdminReply } from '../policy/admin.js';
import type { BodyOf, MessageDef } from '../wire/message.js';
import type { Orders } from './next-view.js';

type OrderBody = BodyOf<typeof order>;

export interface AdministrationHost {
  readonly self: MemberId;
  readonly lineages: Lineages;
  readonly logger: Logger;
  now(): number;
  send<T>(to: MemberId, def: MessageDef<T>, body: T): void;
}

const NOTHING = { found: false, dead: [], acceptLoss: [] } as const;

/** Those that are carried out as soon as they are told; a change of a preset takes longer. */
export type PlainCommand = Exclude<AdminCommand, { kind: 'setConsistency' }>;

export class Administration implements Orders {
  readonly #host: AdministrationHost;
  /** Lineage that the orders are for; they end with it. */
  #lineage = '';
  #found = false;
  readonly #dead = new Set<MemberId>();
  readonly #acceptedLoss = new Set<number>();
  /** Given here: the others are told until it is in effect. */
  #own: OrderBody | null = null;

  constructor(host: AdministrationHost) {
    this.#host = host;
  }

  get found(): boolean {
    return this.#found;
  }

  get dead(): ReadonlySet<MemberId> {
    return this.#dead;
  }

  get acceptedLoss(): ReadonlySet<number> {
    return this.#acceptedLoss;
  }

  /** An order that another member has taken. */
  receive(body: OrderBody): void {
    const { view } = this.#host.lineages;
    if (view === null || body.lineage !== lineageTag(view.lineage)) return;
    this.#lineage = view.lineage;
    if (body.found) this.#found = true;
    for (const id of body.dead) if (this.#dead.size < MAX_MEMBERS) this.#dead.add(id);
    for (const partition of body.acceptLoss)
      if (view.table[partition]?.replicas.length === 0) this.#acceptedLoss.add(partition);
  }

  /** A view was adopted: what it has put into effect, and what was meant for another lineage, is over. */
  adopted(view: View): void {
    if (view.lineage !== this.#lineage) {
      this.#found = false;
      this.#dead.clear();
      this.#acceptedLoss.clear();
      this.#own = null;
    }
    if (view.ordered) this.#found = false;
    if (view.parent === null) this.#dead.clear();
    // Whoever accepts a loss accepts this one: should the partition be lost again, it takes a new order.
    for (const partition of this.#acceptedLoss)
      if ((view.table[partition]?.replicas.length ?? 0) > 0) this.#acceptedLoss.delete(partition);
    if (!this.#found && this.#dead.size + this.#acceptedLoss.size === 0) this.#own = null;
  }

  /** To be called at each heartbeat. */
  tick(): void {
    const { view } = this.#host.lineages;
    if (view !== null && this.#own !== null) this.#spread(view, this.#own);
  }

  /** Carries out an order of a person, or says why not. */
  run(command: PlainCommand): AdminReply {
    const { view } = this.#host.lineages;
    if (view === null) return refuse('this member is in no cluster at the moment');
    switch (command.kind) {
      case 'found':
        return this.#orderFounding(view);
      case 'recover':
        return this.#recover(view, command.dead);
      case 'acceptLoss':
        return this.#acceptLoss(view, command.partitions);
    }
  }

  #tell(view: View, body: Partial<OrderBody>): void {
    const whole = { ...NOTHING, ...body, lineage: lineageTag(view.lineage) };
    this.receive(whole);
    this.#own = whole;
    this.#host.logger.log('warn', 'an order was given', { ...whole, lineage: view.lineage });
    this.#spread(view, whole);
  }

  #spread(view: View, whole: OrderBody): void {
    for (const { id } of view.members) if (id !== this.#host.self) this.#host.send(id, order, whole);
  }

  #orderFounding(view: View): AdminReply {
    const details = { lineage: view.lineage, view: view.number };
    if (view.ordered) return accept('the cluster was founded by order before; nothing was changed', details);
    if (view.parent !== null)
      return refuse(
        'this side of a split has no majority; give the order to the cluster as a whole',
        details,
      );
    this.#tell(view, { found: true });
    return accept('the cluster counts as founded by order from its next view on', details);
  }

  #recover(view: View, names: readonly string[]): AdminReply {
    const { lineages } = this.#host;
    const chain = lineages.chainView;
    if (view.parent === null)
      return refuse('the members here are the majority of the cluster; nothing is to be recovered');
    if (chain === null || chain.lineage !== view.parent.lineage)
      return refuse(
        'this member was never in the cluster that the fork has left; ask another member of the fork',
      );
    const missing = missingFrom(chain, view.members);
    const named = chain.members.filter(({ id, address }) => names.includes(id) || names.includes(address));
    const details = { lineage: view.lineage, missing: missing.map(({ id, address }) => ({ id, address })) };
    const unknown = names.filter((name) => !named.some(({ id, address }) => id === name || address === name));
    if (unknown.length > 0)
      return refuse(`the last view of the cluster has no member ${unknown.join(', ')}`, details);
    const nowMs = this.#host.now();
    const heard = named.filter(({ id }) => lineages.roster.detector.hears(id, nowMs));
    if (heard.length > 0)
      return refuse(`still heard, so not dead: ${heard.map(({ address }) => address).join(', ')}`, details);
    const left = missing.filter(({ id }) => !named.some((member) => member.id === id));
    if (left.length > 0)
      return refuse(
        `neither here nor named as dead: ${left.map(({ address }) => address).join(', ')}`,
        details,
      );
    this.#tell(view, { dead: named.map(({ id }) => id) });
    return accept('this fork becomes the cluster with its next view', details);
  }

  #acceptLoss(view: View, partitions: readonly number[]): AdminReply {
    const lost = view.table.flatMap(({ replicas }, p) => (replicas.length === 0 ? [p] : []));
    const count = view.table.length;
    const beyond = partitions.filter((partition) => partition >= count);
    if (beyond.length > 0)
      return refuse(`there is no partition ${beyond.join(', ')}: this cluster has ${count}`, { lost });
    const wrong = partitions.filter((partition) => !lost.includes(partition));
    if (wrong.length > 0) return refuse(`still held by a member: partitions ${wrong.join(', ')}`, { lost });
    const given = partitions.length === 0 ? lost : partitions;
    if (given.length === 0) return accept('no partition is without a replica; nothing was changed', { lost });
    this.#tell(view, { acceptLoss: [...given] });
    return accept(`${given.length} partitions start empty with the next view`, { partitions: given });
  }
}

function accept(text: string, details: Record<string, unknown> = {}): AdminReply {
  return { ok: true, text, details };
}

function refuse(text: string, details: Record<string, unknown> = {}): AdminReply {
  return { ok: false, text, details };
}
