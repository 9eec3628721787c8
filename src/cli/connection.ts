/**
 * The flags that every command has which talks to a running grid, and the client that they make. The client is
 * shut down whatever happens.
 */
import { type Command, Option } from 'commander';
import { ConnectError } from '../base/errors.js';
import type { CliContext } from './context.js';
import type { GridClient } from './grid-api.js';
import { addressesOf, secondsOf } from './values.js';

export interface ConnectionFlags {
  readonly members?: string;
  readonly cluster?: string;
  readonly timeout?: string;
  readonly json?: boolean;
}

const DEFAULT_MEMBERS = '127.0.0.1:5701';
const DEFAULT_TIMEOUT_S = '10';

export function addConnectionFlags(command: Command): Command {
  return command
    .option(
      '-m, --members <addresses>',
      `members to connect to, host:port with commas (default: ELSEGRID_MEMBERS, else ${DEFAULT_MEMBERS})`,
    )
    .option('-c, --cluster <name>', 'cluster name (default: ELSEGRID_CLUSTER_NAME, else dev)')
    .option(
      '-t, --timeout <seconds>',
      `time to connect, and time for each call (default: ${DEFAULT_TIMEOUT_S})`,
    )
    .addOption(jsonFlag());
}

export function jsonFlag(): Option {
  return new Option('--json', 'print one JSON document, for programs');
}

/** The addresses that the flags or the environment name. */
export function membersOf(flags: ConnectionFlags, { env }: CliContext): string[] {
  if (flags.members !== undefined) return addressesOf('--members', flags.members);
  const named = env.ELSEGRID_MEMBERS;
  return named === undefined ? [DEFAULT_MEMBERS] : addressesOf('ELSEGRID_MEMBERS', named);
}

/** Connects, works and shuts the client down. */
export async function withClient<T>(
  context: CliContext,
  flags: ConnectionFlags,
  work: (client: GridClient) => Promise<T>,
): Promise<T> {
  const timeoutMs = secondsOf('--timeout', flags.timeout ?? DEFAULT_TIMEOUT_S);
  const clusterName = flags.cluster ?? context.env.ELSEGRID_CLUSTER_NAME ?? 'dev';
  const members = membersOf(flags, context);
  const { connect } = await context.grid();
  const client = await connect({
    clusterName,
    members,
    connectTimeoutMs: timeoutMs,
    timeoutMs,
    logLevel: 'error',
  }).catch((error: unknown) => {
    const isNamed = flags.members !== undefined || flags.json === true;
    if (isNamed || !(error instanceof ConnectError)) throw error;
    const hint = 'name the members of your cluster with --members or ELSEGRID_MEMBERS';
    throw new ConnectError(`${error.message}\n${hint}`, { cause: error });
  });
  try {
    return await work(client);
  } finally {
    await client.shutdown();
  }
}
