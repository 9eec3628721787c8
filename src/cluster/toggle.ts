/**
 * Changes of presets while the grid runs, as members tell them to each other and as a view remembers them. Invariants: an
 * order is for the view that has counted exactly `basis` orders, and a view counts one more for each that it puts into
 * effect; so an order is applied once, however long some member remembers it. Used by the view and by its proposer.
 */
import { count, type Field, list, optional, record, text, u32, uuid } from '../wire/fields.js';

/** Whose order it is: the member that took it, and which of its orders. */
export interface ToggleId {
  /** Its UUID. */
  readonly member: string;
  readonly sequence: number;
}

/** What gets another preset: the row of a pattern or of an exact name; null for the grid and every row. */
export type ToggleTarget = { readonly service: string; readonly pattern: string } | null;

export interface Toggle {
  readonly id: ToggleId;
  readonly basis: number;
  readonly target: ToggleTarget;
  readonly preset: string;
}

/** An order that took effect. */
export interface PastToggle {
  readonly id: ToggleId;
  readonly target: ToggleTarget;
}

/** Of a view: the orders that are in effect. */
export interface Toggles {
  readonly count: number;
  /** The latest ones, the last of them last. */
  readonly latest: readonly PastToggle[];
}

/** Orders that a view remembers. */
const MAX_LATEST = 16;

export const NO_TOGGLES: Toggles = { count: 0, latest: [] };

const toggleId: Field<ToggleId> = record({ member: uuid, sequence: count });
const toggleTarget: Field<ToggleTarget> = optional(record({ service: text(64), pattern: text(256) }));

export const togglesField: Field<Toggles> = record({
  count: u32,
  latest: list(record({ id: toggleId, target: toggleTarget }), MAX_LATEST),
});

export const toggleField: Field<Toggle> = record({
  id: toggleId,
  basis: u32,
  target: toggleTarget,
  preset: text(16),
});

export function withToggle({ count: before, latest }: Toggles, { id, target }: Toggle): Toggles {
  return { count: before + 1, latest: [...latest, { id, target }].slice(-MAX_LATEST) };
}

/**
 * What became of an order by a view: `overtaken` by one of another member that changed the same. Then it never takes effect:
 * nobody could tell any more which of the two was meant to be the last.
 */
export function fateOf(
  { count: now, latest }: Toggles,
  { id, basis, target }: Toggle,
): 'in effect' | 'open' | 'overtaken' | 'unknown' {
  const isThis = (other: PastToggle) => other.id.member === id.member && other.id.sequence === id.sequence;
  if (latest.some(isThis)) return 'in effect';
  if (now - basis > latest.length) return 'unknown';
  const since = now === basis ? [] : latest.slice(basis - now);
  const isOvertaken = since.some((other) => other.id.member !== id.member && overlap(other.target, target));
  return isOvertaken ? 'overtaken' : 'open';
}

function overlap(a: ToggleTarget, b: ToggleTarget): boolean {
  return a === null || b === null || (a.service === b.service && a.pattern === b.pattern);
}
