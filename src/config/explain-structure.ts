/** Explains a structure of a running grid from the view's configuration. */
import type { View } from '../cluster/view.js';
import { explain } from '../policy/explain.js';
import type { ExplainedOptions, Explanation } from '../policy/explanation.js';
import { optionsFor } from './rows.js';

/** Throws a `ConfigError` for an unknown service. */
export function explainStructure(service: string, name: string, view: View): Explanation {
  const options = optionsFor(service, name, view.structures) as unknown as ExplainedOptions;
  return explain({ structure: name, kind: service, options, view });
}
