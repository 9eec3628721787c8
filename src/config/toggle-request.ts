/**
 * A change of a preset as callers ask for it, and what becomes of it: the same for clients and embedded members. Throws a
 * `TypeError` for what makes no sense before anything is sent.
 */
import { IndeterminateError, OrderRefusedError } from '../base/errors.js';
import { checkNames } from '../base/option-names.js';
import { type AdminCommand, type AdminReply, MAX_PATTERN_BYTES } from '../policy/admin.js';
import { PRESET_NAMES, type PresetName, presetOf } from '../policy/presets.js';
import { nearest } from './nearest.js';
import { STRUCTURES, structureOf } from './structures.js';

/**
 * What gets another preset: `'all'` for the grid and everything in it, or a structure or configured pattern by its kind, for
 * example `{ map: 'sessions' }`, `{ atomicLong: 'visits' }`, `{ map: 'cache-*' }`.
 */
export type ConsistencyTarget = 'all' | Readonly<Record<string, string>>;

/** The change is in effect, and the new promise holds everywhere. */
export interface ConsistencyChange {
  /** For people; names what kept a preset of its own. */
  readonly text: string;
  /** The view from which on it holds: its lineage and number. */
  readonly lineage: string;
  readonly view: number;
}

export interface SetConsistencyOptions {
  /** Default 30,000. */
  readonly timeoutMs?: number;
}

/** The row for names that nothing else fits. */
const DEFAULT_KEY = 'default';
const DEFAULT_PATTERN = '*';
const DEFAULT_TIMEOUT_MS = 30_000;
const MAX_TIMEOUT_MS = 3_600_000;
/** A member answers this much earlier than its caller gives up: what it knows is worth more than silence. */
const MEMBER_SHARE = 0.9;

export interface ToggleRequest {
  readonly command: Extract<AdminCommand, { kind: 'setConsistency' }>;
  readonly timeoutMs: number;
}

export function toggleRequest(
  target: ConsistencyTarget,
  preset: string,
  options: SetConsistencyOptions = {},
): ToggleRequest {
  checkNames(options, ['timeoutMs']);
  const { timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  if (typeof timeoutMs !== 'number' || !(timeoutMs >= 1 && timeoutMs <= MAX_TIMEOUT_MS))
    throw new TypeError(`timeoutMs: expected a number from 1 to ${MAX_TIMEOUT_MS}, got ${String(timeoutMs)}`);
  const { service, pattern } = placeOf(target);
  const withinMs = Math.max(1, MEMBER_SHARE * timeoutMs);
  const name = presetNamed(preset);
  return { command: { kind: 'setConsistency', service, pattern, preset: name, withinMs }, timeoutMs };
}

function presetNamed(preset: unknown): PresetName {
  const found = presetOf(String(preset))?.name;
  if (found !== undefined) return found as PresetName;
  throw new TypeError(
    `preset: expected one of ${PRESET_NAMES.join(', ')}, got ${JSON.stringify(preset) ?? String(preset)}`,
  );
}

function placeOf(target: unknown): { service: string | null; pattern: string | null } {
  if (target === 'all') return { service: null, pattern: null };
  const entries = typeof target === 'object' && target !== null ? Object.entries(target) : [];
  const [entry] = entries;
  if (entry === undefined || entries.length !== 1)
    throw new TypeError(`target: expected 'all', or one structure by its kind, for example { map: 'users' }`);
  const [service, pattern] = entry as [string, unknown];
  if (structureOf(service) === undefined) {
    const kinds = STRUCTURES.map((kind) => kind.service);
    const near = nearest(service, kinds);
    const advice = near === undefined ? `there are ${kinds.join(', ')}` : `did you mean ${near}?`;
    throw new TypeError(`target: unknown kind of structure ${JSON.stringify(service)}; ${advice}`);
  }
  if (typeof pattern !== 'string' || pattern === '')
    throw new TypeError(`target.${service}: expected the name of a structure, or a pattern`);
  const sizeBytes = Buffer.byteLength(pattern, 'utf8');
  if (sizeBytes > MAX_PATTERN_BYTES)
    throw new TypeError(`target.${service}: ${sizeBytes} bytes in UTF-8; the limit is ${MAX_PATTERN_BYTES}`);
  // As in a configuration.
  return { service, pattern: pattern === DEFAULT_KEY ? DEFAULT_PATTERN : pattern };
}

/** Throws an `OrderRefusedError` when nothing was changed, and an `IndeterminateError` when that is not known. */
export function toggleResult({ ok, text, details }: AdminReply): ConsistencyChange {
  if (ok) return { text, lineage: String(details.lineage), view: Number(details.view) };
  if (details.outcome === 'unknown')
    throw new IndeterminateError(`the preset may or may not have changed: ${text}`, () =>
      Promise.resolve({ outcome: 'unknown' }),
    );
  throw new OrderRefusedError(`the preset was not changed: ${text}`);
}
