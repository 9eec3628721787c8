/**
 * `elsegrid cluster found | recover | accept-loss`: orders that only a person can give. Each one says what may be
 * lost, asks, and then prints what a member answered.
 */
import type { Command } from 'commander';
import { MAX_PARTITIONS } from '../../cluster/view.js';
import type { AdminCommand } from '../../policy/admin.js';
import type { GridStatus } from '../../policy/status.js';
import { addConnectionFlags, type ConnectionFlags, withClient } from '../connection.js';
import { type CliContext, CommandError } from '../context.js';
import { jsonText } from '../output.js';
import { countOf, listOf, secondsOf } from '../values.js';

interface OrderFlags extends ConnectionFlags {
  readonly yes?: boolean;
}

interface RecoverFlags extends OrderFlags {
  readonly dead: readonly string[];
}

interface AcceptFlags extends OrderFlags {
  readonly partition?: readonly string[];
}

/** An order, and what its giver should know first. */
interface Plan {
  readonly command: AdminCommand;
  readonly warning: string;
}

/** There is nothing to order, for the reason that the text gives. */
interface Nothing {
  readonly done: string;
}

/** Partitions that a warning lists by number. */
const SHOWN_PARTITIONS = 20;

export function registerOrders(group: Command, context: CliContext): void {
  addOrder(group.command('found'))
    .description(
      'found the cluster by order, so that consistent (PC) structures are served; once per cluster',
    )
    .action((flags: OrderFlags) => give(context, flags, planFound));
  addOrder(group.command('recover'))
    .description('go on although the majority of the last view is gone for good')
    .requiredOption('--dead <members...>', 'members that will never come back, by id or host:port')
    .action((flags: RecoverFlags) => give(context, flags, (status) => planRecover(status, flags)));
  addOrder(group.command('accept-loss'))
    .description('let partitions start empty of which no synced replica is left')
    .option('--partition <numbers...>', 'those partitions only (default: all that are lost)')
    .action((flags: AcceptFlags) => give(context, flags, (status) => planAcceptLoss(status, flags)));
}

function addOrder(command: Command): Command {
  return addConnectionFlags(command).option('-y, --yes', 'do not ask; needed where nobody can be asked');
}

function planFound(status: GridStatus): Plan | Nothing {
  if (status.ordered) return { done: 'the cluster is already founded by order' };
  if (status.parent !== null) {
    throw new CommandError(
      'this side is a fork, and a fork serves no consistent structures; give the order to the majority, or recover',
    );
  }
  return {
    command: { kind: 'found' },
    warning: `${sideText(status)} would count as founded by order: consistent (PC) structures would be served in it.
Nothing would be lost. But do it once per cluster: of two clusters that were both founded by order, neither gives up,
so they refuse each other when they meet, and the data of one of them has to be given up by hand.`,
  };
}

function planRecover(status: GridStatus, { dead }: RecoverFlags): Plan {
  const names = [...new Set(dead.flatMap(listOf).map((name) => memberNamed(status, name)))];
  if (names.length === 0) throw new CommandError('--dead: expected members by id or host:port', 2);
  const list = names.map((name) => `  ${describe(status, name)}`).join('\n');
  return {
    command: { kind: 'recover', dead: names },
    warning: `${sideText(status)} would go on without these members, which would count as dead for good:
${list}
Could be lost: acknowledged writes, under PC as well, whose replicas were all on members that are named here; and if
one of them still ran somewhere, what it acknowledged for consistent structures on the other side. Make sure first
that none of them runs any more. The order would be refused if one of them were heard.`,
  };
}

/**
 * The name as given, for the member to hold against the last view of the majority: whoever is at an address now may be
 * another process. Only the beginning of the id of one that is missing is completed.
 */
function memberNamed({ missing }: GridStatus, name: string): string {
  const begun = missing.filter(({ id }) => name.length >= 4 && id.startsWith(name));
  if (begun.length > 1) throw new CommandError(`--dead: more than one member's id begins with ${name}`, 2);
  return begun[0]?.id ?? name;
}

function describe({ missing }: GridStatus, name: string): string {
  const member = missing.find(({ id, address }) => id === name || address === name);
  return member === undefined ? name : `${member.address} (${member.id})`;
}

function planAcceptLoss(status: GridStatus, { partition = [] }: AcceptFlags): Plan | Nothing {
  const lost = status.partitions.lostPartitions;
  const numbers = partition
    .flatMap(listOf)
    .map((text) => countOf('--partition', text, 0, MAX_PARTITIONS - 1));
  const { count } = status.partitions;
  const beyond = numbers.find((number) => number >= count);
  if (beyond !== undefined)
    throw new CommandError(
      `there is no partition ${beyond}: this cluster has ${count}, from 0 to ${count - 1}`,
      2,
    );
  const wrong = numbers.find((number) => !lost.includes(number));
  if (wrong !== undefined) throw new CommandError(`partition ${wrong} is not lost: a member holds it`);
  const partitions = numbers.length > 0 ? [...new Set(numbers)] : lost;
  if (partitions.length === 0) return { done: 'no partition is lost' };
  const which = partitions.length === 1 ? '1 partition' : `${partitions.length} partitions`;
  const more = partitions.length > SHOWN_PARTITIONS ? ', ...' : '';
  return {
    command: { kind: 'acceptLoss', partitions },
    warning: `${which} would start empty in ${sideText(status)}: ${partitions.slice(0, SHOWN_PARTITIONS).join(', ')}${more}
All entries of all structures in them would be lost for good, also if a member that held them came back later. Until
the order is given, such a member brings them back.`,
  };
}

function sideText({ clusterName, lineage, members, parent }: GridStatus): string {
  const size = members.length === 1 ? '1 member' : `${members.length} members`;
  return `${parent === null ? 'cluster' : 'the fork of cluster'} ${clusterName} (${size}, lineage ${lineage})`;
}

async function give(
  context: CliContext,
  flags: OrderFlags,
  planOf: (status: GridStatus) => Plan | Nothing,
): Promise<void> {
  await withClient(context, flags, async (client) => {
    const plan = planOf(await client.status());
    if ('done' in plan) {
      context.out(flags.json ? jsonText({ ok: true, text: plan.done, details: {} }) : plan.done);
      return;
    }
    await confirm(context, flags, plan.warning);
    const timeout = flags.timeout === undefined ? {} : { timeoutMs: secondsOf('--timeout', flags.timeout) };
    const reply = await client.admin(plan.command, timeout);
    if (!reply.ok) throw new CommandError(`the cluster refused the order: ${reply.text}`);
    context.out(flags.json ? jsonText({ ...reply, warning: plan.warning }) : reply.text);
  });
}

/** Returns when the person agrees. What is said goes to stderr, so that stdout has the result alone. */
async function confirm(context: CliContext, { yes, json }: OrderFlags, warning: string): Promise<void> {
  // A program that agrees beforehand finds the warning in its document.
  if (yes && json) return;
  context.err(warning);
  if (yes) return;
  const answer = await context.ask('Go on? (y/N) ');
  if (answer === null) throw new CommandError('nobody can be asked here; with --yes the order is given', 2);
  if (!/^\s*y(es)?\s*$/i.test(answer)) throw new CommandError('nothing was done');
}
