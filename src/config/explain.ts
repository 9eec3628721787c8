/**
 * `explain` for a structure by name: finds the options that count for it among rows, those of a view or those of
 * a configuration. Clients and the CLI call it.
 */
import { checkNames } from '../base/option-names.js';
import type { StructureRow } from '../cluster/view.js';
import type { CallConsistency } from '../policy/class.js';
import { explain } from '../policy/explain.js';
import type { ExplainedOptions, ExplainedState, Explanation } from '../policy/explanation.js';
import { protectionFor } from './protection.js';
import { optionsFor } from './rows.js';

/** What is explained, beside the options. */
export interface ExplainWishes {
  /** For calls with this `consistency`; left out: for calls that ask for nothing. */
  readonly consistency?: CallConsistency;
}

/** With a state, `rows` are those of its view. */
export function explainStructure(
  service: string,
  name: string,
  rows: readonly StructureRow[],
  state?: ExplainedState,
  { consistency }: ExplainWishes = {},
): Explanation {
  const options = optionsFor(service, name, rows) as unknown as ExplainedOptions;
  const protection = protectionFor(options, rows);
  return explain({ structure: name, kind: service, options, protection, call: consistency ?? null, state });
}

/** Throws a TypeError for wishes that mean nothing. */
export function checkExplainWishes(wishes: ExplainWishes): void {
  checkNames(wishes, ['consistency']);
  const { consistency } = wishes;
  if (consistency !== undefined && consistency !== 'EC' && consistency !== 'EL')
    throw new TypeError(`consistency: expected 'EC' or 'EL', got ${JSON.stringify(consistency)}`);
}
