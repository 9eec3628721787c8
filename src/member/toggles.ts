/**
 * Changes of presets that people order: the member that takes one tells all others until a view has it, and answers when
 * the new promise holds at every member of its view. Invariants: an order is for the view that has counted exactly as many
 * as its `basis`, and only who took it may renew it, knowing that it is not in effect and that nobody else has changed the
 * same; those of one member take effect in the order in which they were given. Called by the member's composition.
 */
import type { Logger } from '../base/ports.js';
import type { Lineages } from '../cluster/lineages.js';
import { toggleOrder } from '../cluster/messages.js';
import { fateOf, type Toggle, type ToggleTarget } from '../cluster/toggle.js';
import { lineageTag, type MemberId, type View } from '../cluster/view.js';
import { exceptionsOf, toggleProblem } from '../config/toggle.js';
import type { AdminCommand, AdminReply } from '../policy/admin.js';
import type { BodyOf, MessageDef } from '../wire/message.js';

export type ToggleCommand = Extract<AdminCommand, { kind: 'setConsistency' }>;

/** Faults that tests put in on purpose; never set outside of them. */
export interface ToggleFaults {
  /** An order is answered as soon as this member has adopted the view that has it. */
  readonly toggleAnswersEarly?: boolean;
  /** It is not waited for what is on its way to backups. */
  readonly toggleUncommitted?: boolean;
}

export interface TogglesHost {
  readonly self: MemberId;
  readonly lineages: Pick<Lineages, 'view' | 'whoKeepsNot'>;
  readonly logger: Logger;
  readonly faults: ToggleFaults;
  now(): number;
  /** The cluster is ordered to count as founded by order, from its next view on. */
  isFoundOrdered(): boolean;
  send<T>(to: MemberId, def: MessageDef<T>, body: T): void;
}

interface Own {
  toggle: Toggle;
  readonly command: ToggleCommand;
  readonly deadlineMs: number;
  readonly answer: (reply: AdminReply) => void;
  /** The first view known to have it. */
  effect: number | null;
}

/** Orders that wait at one member. */
const MAX_OWN = 64;
/** Orders of others that are kept for the next view. */
const MAX_RECEIVED = 1_000;

export class Toggles {
  readonly #host: TogglesHost;
  /** By member: the order that it wants next. */
  readonly #received = new Map<MemberId, Toggle>();
  #lineage = '';
  #own: Own[] = [];
  #sequence = 0;

  constructor(host: TogglesHost) {
    this.#host = host;
  }

  /** The order that the view after this one puts into effect, or null. */
  next(view: View): Toggle | null {
    if (view.lineage !== this.#lineage) return null;
    const fitting = [...this.#received.values()].filter(
      ({ basis, target, preset }) =>
        basis === view.toggles.count && toggleProblem(view, target, preset) === null,
    );
    // Any order among them will do; this one is the same at every member.
    return fitting.sort((a, b) => (a.id.member < b.id.member ? -1 : 1))[0] ?? null;
  }

  /** Another member tells an order. */
  receive({ lineage, toggle }: BodyOf<typeof toggleOrder>): void {
    const { view } = this.#host.lineages;
    if (view === null || lineage !== lineageTag(view.lineage)) return;
    this.#keep(toggle);
  }

  #keep(toggle: Toggle): void {
    const { member, sequence } = toggle.id;
    const known = this.#received.get(member);
    if (known === undefined && this.#received.size >= MAX_RECEIVED) return;
    const isOlder =
      known !== undefined &&
      (sequence < known.id.sequence || (sequence === known.id.sequence && toggle.basis < known.basis));
    if (!isOlder) this.#received.set(member, toggle);
  }

  /** Carries out an order of a person, now or when its promise holds; or says why not. */
  run(command: ToggleCommand, answer: (reply: AdminReply) => void): void {
    const { lineages, self } = this.#host;
    const { view } = lineages;
    if (view === null) {
      answer(refused('this member is in no cluster at the moment'));
      return;
    }
    this.#lineage = view.lineage;
    const { service, pattern, preset, withinMs } = command;
    const target: ToggleTarget = service === null || pattern === null ? null : { service, pattern };
    const problem = this.#problem(view, target, preset);
    if (problem !== null || this.#own.length >= MAX_OWN) {
      answer(refused(problem ?? `${MAX_OWN} orders wait at this member already`));
      return;
    }
    const id = { member: self, sequence: ++this.#sequence };
    const toggle = { id, basis: view.toggles.count, target, preset };
    const deadlineMs = this.#host.now() + withinMs;
    this.#own.push({ toggle, command, deadlineMs, answer, effect: null });
    this.#host.logger.log('warn', 'another preset was ordered', { target, preset });
    this.#renew(view);
    this.#tell(view);
  }

  /** Why the order can not take effect after this view; one that waits for an order to found the cluster can. */
  #problem(view: View, target: ToggleTarget, preset: string): string | null {
    const ordered = view.ordered || this.#host.isFoundOrdered();
    return toggleProblem({ ...view, ordered }, target, preset);
  }

  /** A view was adopted: some orders are in effect with it, the others are renewed for the one after it. */
  adopted(view: View): void {
    if (view.lineage !== this.#lineage) {
      this.#received.clear();
      this.#end(() => true, 'this member went on in another lineage of the cluster');
      this.#lineage = view.lineage;
    }
    for (const [member, { basis }] of this.#received)
      if (basis < view.toggles.count) this.#received.delete(member);
    for (const own of [...this.#own]) if (own.effect === null) this.#settle(own, view);
    this.#renew(view);
    this.#tell(view);
  }

  #settle(own: Own, { toggles, number }: View): void {
    const fate = fateOf(toggles, own.toggle);
    if (fate === 'in effect') own.effect = number;
    else if (fate === 'overtaken')
      this.#answer(own, refused('another order changed the same at this moment; look, and give it again'));
    else if (fate === 'unknown') this.#answer(own, unknown('too many others came after it'));
  }

  /** What was not put into effect yet is for the view after this one, if it still can be. */
  #renew(view: View): void {
    for (const own of [...this.#own]) {
      if (own.effect !== null) continue;
      const problem = this.#problem(view, own.toggle.target, own.toggle.preset);
      own.toggle = { ...own.toggle, basis: view.toggles.count };
      if (problem !== null) this.#answer(own, refused(problem));
    }
    const first = this.#first();
    if (first !== undefined) this.#keep(first.toggle);
  }

  /** The order that comes next; one whose caller has been answered is not renewed. */
  #first(): Own | undefined {
    const nowMs = this.#host.now();
    return this.#own.find(({ effect, deadlineMs }) => effect === null && nowMs < deadlineMs);
  }

  /** To be called at each heartbeat. */
  beat(): void {
    const { view } = this.#host.lineages;
    if (view !== null) this.#tell(view);
  }

  #tell(view: View): void {
    const first = this.#first();
    if (first === undefined || view.lineage !== this.#lineage) return;
    const body = { lineage: lineageTag(view.lineage), toggle: first.toggle };
    for (const { id } of view.members) if (id !== this.#host.self) this.#host.send(id, toggleOrder, body);
  }

  /** To be called often: answers what is done, and what has waited for too long. */
  tick(nowMs: number): void {
    if (this.#own.length === 0) return;
    const { lineages, faults } = this.#host;
    const { view } = lineages;
    const missing = lineages.whoKeepsNot();
    for (const own of [...this.#own]) {
      const isIn = view !== null && view.lineage === this.#lineage && own.effect !== null;
      if (isIn && (missing.length === 0 || faults.toggleAnswersEarly === true))
        this.#answer(own, done(view, own));
      else if (nowMs >= own.deadlineMs && own.effect === null)
        this.#answer(
          own,
          unknown(`it is in no view after ${own.command.withinMs} ms, and may yet get there`),
        );
      else if (nowMs >= own.deadlineMs) {
        const who = missing.map(({ address }) => address).join(', ');
        const text = `it is in effect, but after ${own.command.withinMs} ms not known to hold at ${who}`;
        this.#answer(
          own,
          unknown(text, { view: own.effect, missing: missing.map(({ address }) => address) }),
        );
      }
    }
  }

  /** The process ends. */
  close(): void {
    this.#end(() => true, 'the member was shut down');
  }

  #end(which: (own: Own) => boolean, why: string): void {
    for (const own of this.#own.filter(which)) this.#answer(own, unknown(why));
  }

  #answer(own: Own, reply: AdminReply): void {
    this.#own = this.#own.filter((other) => other !== own);
    if (own.effect === null) this.#received.delete(this.#host.self);
    own.answer(reply);
  }
}

function done({ lineage, structures, number }: View, { toggle, effect }: Own): AdminReply {
  const { target, preset } = toggle;
  const exceptions = exceptionsOf(structures, target, preset);
  const names = exceptions.slice(0, 5).map(({ pattern, preset: own }) => `${pattern} (${own})`);
  const more = exceptions.length > names.length ? ', ...' : '';
  const text =
    names.length === 0
      ? `${preset} holds everywhere`
      : `${preset} holds everywhere but for names that have a preset of their own: ${names.join(', ')}${more}`;
  return { ok: true, text, details: { lineage, view: effect ?? number } };
}

function refused(text: string): AdminReply {
  return { ok: false, text, details: { outcome: 'refused' } };
}

/** The order may be in effect, now or later. */
function unknown(text: string, details: Readonly<Record<string, unknown>> = {}): AdminReply {
  return { ok: false, text, details: { outcome: 'unknown', ...details } };
}
