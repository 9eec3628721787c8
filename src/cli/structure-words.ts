/** What commands call the kinds of structures. */
import { nearest } from '../config/nearest.js';
import { STRUCTURES } from '../config/structures.js';
import { CommandError } from './context.js';

/** What a command is called whose service has another name. */
const COMMAND_WORDS: Readonly<Record<string, string>> = { atomicLong: 'long', multiMap: 'multimap' };

export function wordOf(service: string): string {
  return COMMAND_WORDS[service] ?? service;
}

/** All of them: `map`, `long`, ... */
export const STRUCTURE_WORDS: readonly string[] = STRUCTURES.map(({ service }) => wordOf(service));

/** The service that a person means by a word. */
export function serviceOf(kind: string): string {
  const found = STRUCTURES.find(({ service }) => service === kind || wordOf(service) === kind);
  if (found !== undefined) return found.service;
  const near = nearest(kind, STRUCTURE_WORDS);
  const advice = near === undefined ? `expected ${STRUCTURE_WORDS.join(' or ')}` : `did you mean ${near}?`;
  throw new CommandError(`unknown kind of structure ${JSON.stringify(kind)}; ${advice}`, 2);
}
