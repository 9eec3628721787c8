/**
 * Checks the names of merge policies in a member's options, once its modules have registered their functions. Called
 * by the door.
 */
import type { StructureOptions } from '../../partitions/service.js';
import type { MemberConfig } from '../config.js';
import { nearest } from './nearest.js';
import { type Problem, problemsError } from './problems.js';
import { STRUCTURES } from './structures.js';

/** Throws one `ConfigError` that lists every row whose policy is not among `known`: the built-in and the registered ones. */
export function checkMergePolicies(config: MemberConfig, known: readonly string[]): void {
  const rowsOf = config as unknown as Record<string, Readonly<Record<string, StructureOptions>> | undefined>;
  const problems: Problem[] = STRUCTURES.flatMap(({ configKey }) =>
    Object.entries(rowsOf[configKey] ?? {})
      .filter(([, { mergePolicy }]) => !known.includes(mergePolicy))
      .map(([pattern, { mergePolicy }]) => ({
        path: [configKey, pattern, 'mergePolicy'],
        reason: unknownPolicy(mergePolicy, known),
      })),
  );
  if (problems.length > 0) throw problemsError(problems);
}

function unknownPolicy(name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  const advice =
    near === undefined ? `known here: ${known.join(', ')}` : `did you mean ${JSON.stringify(near)}?`;
  return `there is no merge policy or registered merge function ${JSON.stringify(name)}; ${advice}`;
}
