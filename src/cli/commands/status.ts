/** `elsegrid status`: members, partitions and migrations of a running grid, and waiting until it is safe. */
import type { Command } from 'commander';
import type { GridStatus } from '../../policy/status.js';
import { addConnectionFlags, type ConnectionFlags, withClient } from '../connection.js';
import { type CliContext, CommandError } from '../context.js';
import { bytesText, jsonText, table } from '../output.js';
import { secondsOf } from '../values.js';

interface StatusFlags extends ConnectionFlags {
  readonly wait?: string;
}

/** How long `--wait safe` waits when no --timeout is given. */
const DEFAULT_WAIT_S = '60';

export function registerStatus(program: Command, context: CliContext): void {
  const command = program
    .command('status')
    .description('show members, partitions, replicas that are missing or syncing, and migrations')
    .option(
      '-w, --wait <state>',
      'wait until the grid is "safe": all replicas that the cluster can hold are synced',
    );
  addConnectionFlags(command)
    .addHelpText(
      'after',
      `\nWith --wait safe, --timeout is how long to wait (default: ${DEFAULT_WAIT_S}); exit code 1 when the grid is not safe by then.`,
    )
    .action((flags: StatusFlags) => run(context, flags));
}

async function run(context: CliContext, flags: StatusFlags): Promise<void> {
  if (flags.wait !== undefined && flags.wait !== 'safe') {
    throw new CommandError(
      `--wait: unknown state ${JSON.stringify(flags.wait)}; did you mean --wait safe?`,
      2,
    );
  }
  const waitMs = secondsOf('--timeout', flags.timeout ?? DEFAULT_WAIT_S);
  const status = await withClient(context, flags, async (client) => {
    if (flags.wait === 'safe') await client.waitUntilSafe({ timeoutMs: waitMs });
    return client.status();
  });
  context.out(flags.json ? jsonText(status) : statusText(status));
}

export function statusText(status: GridStatus): string {
  const addresses = new Map(status.members.map(({ id, address }) => [id, address]));
  const nameOf = (id: string) => addresses.get(id) ?? id;
  const parts = [
    [
      `cluster ${status.clusterName}, view ${status.view}, lineage ${status.lineage}`,
      ...sideTexts(status),
    ].join('\n'),
    membersText(status),
    partitionsText(status),
  ];
  if (status.migrations.length > 0) {
    const rows = status.migrations.map(({ partition, from, to, copiedBytes, totalBytes }) => {
      const progress = totalBytes === null || totalBytes === 0 ? null : percent(copiedBytes, totalBytes);
      return [partition, nameOf(from), nameOf(to), bytesText(copiedBytes), bytesText(totalBytes), progress];
    });
    parts.push(table(['migrating', 'from', 'to', 'copied', 'of', 'progress'], rows));
  }
  parts.push(
    status.safe
      ? 'safe: all replicas that the cluster can hold are synced'
      : `not safe: ${status.unsafeReasons.join('; ')}`,
  );
  return parts.join('\n\n');
}

/** What a reader has to know before any figure. */
function sideTexts({ parent, ordered, hasConsistent }: GridStatus): string[] {
  if (parent !== null)
    return ['FORK: this side has no majority; consistent (PC) structures are refused; see elsegrid cluster'];
  if (ordered || !hasConsistent) return [];
  return [
    'NOT FOUNDED BY ORDER: consistent (PC) structures are refused; give the order once: elsegrid cluster found',
  ];
}

function membersText({ members }: GridStatus): string {
  const rows = members.map((member) => [
    member.address,
    member.entries === null ? 'no answer' : member.leaving ? 'leaving' : 'up',
    member.primaries,
    member.backups,
    member.syncing,
    member.entries,
    bytesText(member.sizeBytes),
    `${member.heardBy} of ${members.length - 1}`,
    member.id,
  ]);
  return table(
    ['member', 'state', 'primaries', 'backups', 'syncing', 'entries', 'memory', 'heard by', 'id'],
    rows,
  );
}

function partitionsText({ partitions }: GridStatus): string {
  const { missingReplicas, unplaceableReplicas } = partitions;
  const rows: [string, number, string][] = [
    [
      'partitions',
      partitions.count,
      `${partitions.slots} backup ${partitions.slots === 1 ? 'slot' : 'slots'} each`,
    ],
    ['replicas missing', missingReplicas, tooSmallText(unplaceableReplicas)],
    ['replicas syncing', partitions.syncingReplicas, ''],
    ['being taken over', partitions.unsettled, ''],
    ['without a synced replica', partitions.lost, ''],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  const numbers = Math.max(...rows.map(([, count]) => String(count).length));
  return rows
    .map(([name, count, note]) =>
      `${name.padEnd(width)}  ${String(count).padStart(numbers)}  ${note}`.trimEnd(),
    )
    .join('\n');
}

function tooSmallText(unplaceable: number): string {
  return unplaceable === 0 ? '' : `${unplaceable} of them need more members than the cluster has`;
}

function percent(part: number, whole: number): string {
  return `${Math.min(100, Math.floor((100 * part) / whole))} %`;
}
