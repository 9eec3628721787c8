/** The command line of the benchmark: what to measure, how long, and where the results go. */
import { parseArgs } from 'node:util';
import { reasonOf } from '../src/base/reason.js';
import { type Cell, OPERATIONS, SYSTEMS } from './cells.js';

export interface BenchOptions {
  readonly systems: readonly string[];
  readonly cells: readonly Cell[];
  readonly rounds: number;
  /** Of one system in one cell of one round. */
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly jsonFile: string | null;
  /** Folder for CPU profiles of the client and the servers. */
  readonly profileFolder: string | null;
}

export const USAGE = `npm run bench -- [options]

  --quick               a first impression in half a minute: 1 and 256 in flight, short rounds
  --only LIST           systems, of ${SYSTEMS.map(({ name }) => name).join(', ')}
  --operations LIST     of ${OPERATIONS.join(', ')}
  --in-flight LIST      calls in flight (default 1,32,256,1024)
  --value-bytes LIST    sizes of values, at least 4 (default 100,1024)
  --rounds N            rounds; medians over them are shown (default 3)
  --seconds S           of each system in each cell of a round (default 1)
  --json FILE           all results as JSON
  --profile FOLDER      CPU profiles of the client and the servers
  --help`;

export class UsageError extends Error {}

/** Throws a `UsageError` for anything it does not understand; null when the usage was asked for. */
export function parseOptions(args: readonly string[]): BenchOptions | null {
  const values = parse(args);
  if (values.help === true) return null;
  const quick = values.quick === true;
  const operations = chosen('--operations', values.operations, OPERATIONS);
  const inFlight = numbers('--in-flight', values['in-flight'] ?? (quick ? '1,256' : '1,32,256,1024'), 1);
  const sizes = numbers('--value-bytes', values['value-bytes'] ?? (quick ? '100' : '100,1024'), 4);
  const cells = sizes.flatMap((valueBytes) =>
    operations.flatMap((operation) => inFlight.map((n) => ({ operation, inFlight: n, valueBytes }))),
  );
  const names = SYSTEMS.map(({ name }) => name);
  const seconds = numbers('--seconds', values.seconds ?? (quick ? '0.3' : '1'), 0.01)[0] as number;
  return {
    systems: chosen('--only', values.only, names),
    cells,
    rounds: Math.floor(numbers('--rounds', values.rounds ?? (quick ? '2' : '3'), 1)[0] as number),
    seconds,
    warmUpSeconds: Math.min(2, seconds * 2),
    jsonFile: values.json ?? null,
    profileFolder: values.profile ?? null,
  };
}

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  const options = {
    quick: flag,
    help: flag,
    only: text,
    operations: text,
    'in-flight': text,
    'value-bytes': text,
    rounds: text,
    seconds: text,
    json: text,
    profile: text,
  };
  try {
    return parseArgs({ args: [...args], options, strict: true }).values;
  } catch (error) {
    throw new UsageError(reasonOf(error));
  }
}

function chosen<T extends string>(option: string, list: string | undefined, all: readonly T[]): T[] {
  if (list === undefined) return [...all];
  const wanted = list.split(',').map((item) => item.trim());
  const unknown = wanted.find((item) => !all.some((name) => name === item));
  if (unknown !== undefined)
    throw new UsageError(`${option}: there is no '${unknown}'; there are ${all.join(', ')}`);
  return all.filter((name) => wanted.includes(name));
}

function numbers(option: string, list: string, least: number): number[] {
  return list.split(',').map((item) => {
    const n = Number(item);
    if (item.trim() === '' || !Number.isFinite(n) || n < least)
      throw new UsageError(`${option}: '${item}' is no number of at least ${least}`);
    return n;
  });
}
