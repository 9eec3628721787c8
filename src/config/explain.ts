/**
 * `explain` for a structure by name: finds the options that count for it among rows, those of a view or those of
 * a configuration. Clients and the CLI call it.
 */
import type { StructureRow, View } from '../cluster/view.js';
import { explain } from '../policy/explain.js';
import type { ExplainedOptions, Explanation } from '../policy/explanation.js';
import { protectionFor } from './protection.js';
import { optionsFor } from './rows.js';

/** With the view, `rows` are usually its `structures`, and the state of the cluster is taken into account. */
export function explainStructure(
  service: string,
  name: string,
  rows: readonly StructureRow[],
  view?: View,
): Explanation {
  const options = optionsFor(service, name, rows) as unknown as ExplainedOptions;
  const protection = protectionFor(options, rows);
  return explain({ structure: name, kind: service, options, protection, view });
}
