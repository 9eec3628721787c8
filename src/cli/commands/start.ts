/** `elsegrid start`: runs one member in this process, or several as processes of their own. */
import type { Command } from 'commander';
import type { MemberOptions } from '../../config.js';
import { jsonFlag } from '../connection.js';
import { type CliContext, CommandError, type ExitCode } from '../context.js';
import { addMemberFlags, loadMemberFlags, type MemberFlags, memberOptions } from '../member-flags.js';
import { flagsTo, jsonText, table } from '../output.js';
import { runUntilStopped, startOnPort } from '../run-member.js';
import { type RunningMember, runMembers } from '../run-members.js';
import { stopRequests } from '../signals.js';

interface StartFlags extends MemberFlags {
  readonly members?: string;
  readonly json?: boolean;
}

const MAX_MEMBERS = 100;

export function registerStart(program: Command, context: CliContext, exit: (code: ExitCode) => void): void {
  addMemberFlags(program.command('start'))
    .description('start a member, or with --members N several of them as processes')
    .option('-n, --members <count>', 'number of member processes, on the next free ports from --port on')
    .addOption(jsonFlag())
    .addHelpText(
      'after',
      `
A port that was asked for and is taken is an error; without --port the next free one from 5701 on is taken.
SIGINT (Ctrl-C) and SIGTERM leave gracefully: the data is handed over first. A second one ends at once.
Logs are JSON lines on stderr; with --members only warnings, unless --log-level says otherwise.`,
    )
    .action(async (flags: StartFlags) => exit(await run(context, flags)));
}

async function run(context: CliContext, flags: StartFlags): Promise<ExitCode> {
  const count = flags.members === undefined ? 1 : countOf(flags.members);
  const loaded = loadMemberFlags(flags, context);
  const given = memberOptions(loaded, flags, context);
  const searchPort = loaded.sourceOf('port').kind === 'default';
  const quiet = flags.members !== undefined && loaded.sourceOf('logLevel').kind === 'default';
  const options = quiet ? { ...given, logLevel: 'warn' as const } : given;
  if (count > 1 && options.advertisedAddress !== undefined) {
    throw new CommandError(
      'advertisedAddress is the address of one member; it does not go with --members',
      2,
    );
  }
  const print = (members: readonly RunningMember[]) =>
    context.out(
      flags.json
        ? jsonText({ clusterName: loaded.config.clusterName, members })
        : readyText(loaded.config.clusterName, members),
    );
  const stop = stopRequests(context);
  try {
    if (flags.members !== undefined) {
      return await runMembers(context, { count, options, searchPort, ready: print }, stop);
    }
    const member = await startOnPort(context, options, searchPort);
    print([{ address: member.address, pid: undefined }]);
    if (searchPort && !member.address.endsWith(`:${options.port}`)) context.err(takenText(options));
    return await runUntilStopped(context, member, stop, (text) => context.err(text));
  } finally {
    stop.dispose();
  }
}

/** A member that took another port has perhaps not joined what its user thinks. */
function takenText({ host, port, join }: MemberOptions): string {
  const advice = (join ?? []).length > 0 ? '' : `; if a member runs there, --join ${host}:${port} joins it`;
  return `port ${port} is taken, so this member took the next free one${advice}`;
}

function countOf(text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count >= 1 && count <= MAX_MEMBERS) return count;
  const advice = text.includes(':') ? '; addresses of members to join go to --join' : '';
  throw new CommandError(
    `--members: expected a number from 1 to ${MAX_MEMBERS}, got ${JSON.stringify(text)}${advice}`,
    2,
  );
}

/** What to type next works as it stands there, in another terminal. */
function readyText(clusterName: string, members: readonly RunningMember[]): string {
  const [first] = members;
  const flags = flagsTo(first?.address ?? '', clusterName);
  const list = table(
    ['member', 'pid'],
    members.map(({ address, pid }) => [address, pid]),
  );
  const victim = members.at(-1)?.pid;
  const kill =
    victim === undefined || members.length < 2
      ? []
      : [`  kill -9 ${victim}   # a member crashes; nothing is lost`];
  return [
    `cluster ${clusterName}: ${members.length === 1 ? '1 member is' : `${members.length} members are`} running`,
    '',
    ...(members.length > 1 || victim !== undefined ? [list] : [`  ${first?.address}`]),
    '',
    'Next, in another terminal:',
    `  npx elsegrid map set users alice '{"age": 42}' ${flags}`,
    `  npx elsegrid map get users alice ${flags}`,
    `  npx elsegrid status ${flags}`,
    ...kill,
    '',
    'Ctrl-C leaves gracefully; another one, after a second, ends at once.',
  ].join('\n');
}
