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

/** Of a view: the orders that are in effect. */
export interface Toggles {
  readonly count: number;
  /** The latest ones, the last of them last. */
  readonly latest: readonly ToggleId[];
}

/** Orders that a view remembers by name. */
const MAX_LATEST = 64;

export const NO_TOGGLES: Toggles = { count: 0, latest: [] };

const toggleId: Field<ToggleId> = record({ member: uuid, sequence: count });

export const togglesField: Field<Toggles> = record({ count: u32, latest: list(toggleId, MAX_LATEST) });

export const toggleField: Field<Toggle> = record({
  id: toggleId,
  basis: u32,
  target: optional(record({ service: text(64), pattern: text(256) })),
  preset: text(16),
});

export function isSameToggle(a: ToggleId, b: ToggleId): boolean {
  return a.member === b.member && a.sequence === b.sequence;
}

export function withToggle({ count: before, latest }: Toggles, id: ToggleId): Toggles {
  return { count: before + 1, latest: [...latest, id].slice(-MAX_LATEST) };
}

/** Whether an order that was for the view with `basis` is in effect; null when it is too long ago to be known. */
export function isInEffect({ count: now, latest }: Toggles, { id, basis }: Toggle): boolean | null {
  if (latest.some((known) => isSameToggle(known, id))) return true;
  return now - basis > latest.length ? null : false;
}
