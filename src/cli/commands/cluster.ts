/**
 * `elsegrid cluster`: who is in which lineage, who holds a lease and who hears whom, on every side of a split that can
 * be reached. The orders to a cluster and the merge reports are its subcommands.
 */
import type { Command } from 'commander';
import { reasonOf } from '../../base/reason.js';
import { nearest } from '../../config/nearest.js';
import type { GridStatus, MemberStatus } from '../../policy/status.js';
import { addConnectionFlags, type ConnectionFlags, membersOf, withClient } from '../connection.js';
import { type CliContext, CommandError } from '../context.js';
import { flagsTo, jsonText, table } from '../output.js';
import { registerOrders } from './cluster-orders.js';
import { registerMerges } from './merges.js';

/** How long an address that is not in the first status gets to answer; the others have answered by then. */
const PROBE_TIMEOUT_S = '2';

interface Unreachable {
  readonly address: string;
  readonly reason: string;
}

interface Picture {
  /** The side that answered first, then the others. */
  readonly sides: readonly GridStatus[];
  readonly unreachable: readonly Unreachable[];
}

export function registerCluster(program: Command, context: CliContext): void {
  const group = program
    .command('cluster')
    .description('show the lineage, leases and sides of a split; order, recover, read merge reports');
  const show = group
    .command('show', { isDefault: true })
    .allowExcessArguments()
    .description('members, lineage, leases, who hears whom, and the forks that can be reached (the default)');
  addConnectionFlags(show)
    .addHelpText(
      'after',
      '\nName members of every side with --members, so that all sides of a split are shown.',
    )
    .action(async (flags: ConnectionFlags) => {
      const [unknown] = show.args;
      if (unknown !== undefined) {
        const near = nearest(
          unknown,
          group.commands.map((command) => command.name()),
        );
        const advice = near === undefined ? '' : `\n(Did you mean ${near}?)`;
        throw new CommandError(`unknown command '${unknown}'${advice}`, 2);
      }
      const picture = await look(context, flags);
      context.out(flags.json ? jsonText(picture) : pictureText(picture));
    });
  registerOrders(group, context);
  registerMerges(group, context);
}

/** Asks one side, then every address that it does not know, and every member that says to be elsewhere. */
async function look(context: CliContext, flags: ConnectionFlags): Promise<Picture> {
  const first = await withClient(context, flags, (client) => client.status());
  const inside = new Set(first.members.filter((member) => !isElsewhere(member, first)).map((m) => m.address));
  const asked = [...membersOf(flags, context), ...first.members.map(({ address }) => address)];
  const addresses = [...new Set(asked)].filter((address) => !inside.has(address));
  const answers = await Promise.all(addresses.map((address) => probe(context, flags, address)));
  const sides = [first];
  for (const answer of answers) {
    if ('reason' in answer || sides.some(({ lineage }) => lineage === answer.lineage)) continue;
    sides.push(answer);
  }
  return { sides, unreachable: answers.filter((answer) => 'reason' in answer) };
}

function isElsewhere({ lineage }: MemberStatus, status: GridStatus): boolean {
  return lineage !== null && lineage !== status.lineage;
}

async function probe(
  context: CliContext,
  flags: ConnectionFlags,
  address: string,
): Promise<GridStatus | Unreachable> {
  try {
    const there = { timeout: PROBE_TIMEOUT_S, ...flags, members: address };
    return await withClient(context, there, (client) => client.status());
  } catch (error) {
    const reason = reasonOf(error);
    return { address, reason: reason.split('\n').at(-1)?.trim() ?? '' };
  }
}

function pictureText({ sides, unreachable }: Picture): string {
  const parts = sides.map(sideText);
  if (sides.length > 1) parts.unshift(`${sides.length} sides of a split answer`);
  if (unreachable.length > 0) {
    const rows = unreachable.map(({ address, reason }) => [address, reason]);
    parts.push(table(['no answer', 'reason'], rows));
  }
  return parts.join('\n\n');
}

function sideText(status: GridStatus): string {
  return [headText(status), ...missingText(status), membersText(status), hearingText(status)].join('\n\n');
}

/** What this side is, in one line each. */
function headText({ clusterName, lineage, view, ordered, parent }: GridStatus): string {
  const lines = [`cluster ${clusterName}, view ${view}, lineage ${lineage}`];
  if (parent !== null) {
    lines.push(
      `fork: left lineage ${parent.lineage} at view ${parent.number}; serves available (PA) structures only`,
    );
  } else if (ordered) {
    lines.push('founded by order: consistent (PC) structures are served');
  } else {
    lines.push(
      'not founded by order: consistent (PC) structures answer ERR_NOT_FOUNDED (elsegrid cluster found)',
    );
  }
  return lines.join('\n');
}

/** By id: at the address of one that is missing another process may answer by now. */
function missingText({ clusterName, missing, members }: GridStatus): string[] {
  if (missing.length === 0) return [];
  const ids = missing.map(({ id }) => id).join(' ');
  return [
    [
      'missing from the last majority:',
      ...missing.map(({ id, address }) => `  ${id} ${address}`),
      'This side goes on as the cluster when enough of them are back. If they never come back:',
      `  elsegrid cluster recover ${flagsTo(members[0]?.address ?? '', clusterName)} --dead ${ids}`,
    ].join('\n'),
  ];
}

function membersText(status: GridStatus): string {
  const rows = status.members.map((member) => [
    member.address,
    stateOf(member, status),
    member.hears === null ? null : member.leaseMs === null ? 'none' : `${Math.floor(member.leaseMs)} ms left`,
    member.leftovers,
    member.primaries,
    member.id,
  ]);
  return table(['member', 'state', 'lease', 'to merge', 'primaries', 'id'], rows);
}

function stateOf(member: MemberStatus, status: GridStatus): string {
  if (member.hears === null) return 'no answer';
  if (isElsewhere(member, status)) return 'in another lineage';
  return member.leaving ? 'leaving' : 'up';
}

/** A row hears a column: `+`; it does not: `-`; nobody told: `?`. */
function hearingText({ members }: GridStatus): string {
  const rows = members.map(({ address, hears, id }, index) => {
    const marks = members.map((other) => {
      if (other.id === id) return '.';
      return hears === null ? '?' : hears.includes(other.id) ? '+' : '-';
    });
    return [`${index + 1} ${address}`, ...marks];
  });
  return table(['who hears whom', ...members.map((_, index) => String(index + 1))], rows);
}
