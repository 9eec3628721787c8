/**
 * The command line as a whole: which commands there are, how their failures are worded, and the exit code. A
 * failure is one clear message; the stack is shown only with `--log-level debug`.
 */
import { Command, CommanderError } from 'commander';
import { GridError } from '../base/errors.js';
import { registerChaos } from './commands/chaos.js';
import { registerCluster } from './commands/cluster.js';
import { registerConfig } from './commands/config.js';
import { registerConsistency } from './commands/consistency.js';
import { registerExplain } from './commands/explain.js';
import { registerList } from './commands/list.js';
import { registerLong } from './commands/long.js';
import { registerMap } from './commands/map.js';
import { registerMultiMap } from './commands/multimap.js';
import { registerQueue } from './commands/queue.js';
import { registerStart } from './commands/start.js';
import { registerStatus } from './commands/status.js';
import { type CliContext, type ExitCode, exitCodeOf } from './context.js';
import { runMemberProcess } from './member-process.js';

const HELP = `
Exit codes: 0 done, 1 failed, 2 wrong usage or configuration; chaos run also 3: nothing was proved.
Environment: ELSEGRID_MEMBERS and ELSEGRID_CLUSTER_NAME say where status, cluster, list, map, long, queue, multimap,
consistency and explain connect to;
ELSEGRID_CONFIG and every option in capitals (ELSEGRID_PORT, ELSEGRID_JOIN, ...) configure start.

Example: elsegrid start --members 3`;

/** Runs one command line (without node and the script's name). */
export async function run(args: readonly string[], context: CliContext): Promise<ExitCode> {
  let exitCode: ExitCode = 0;
  const exit = (code: ExitCode) => {
    exitCode = code;
  };
  try {
    await createProgram(context, exit).parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (error) {
    return reportFailure(error, args, context);
  }
}

function createProgram(context: CliContext, exit: (code: ExitCode) => void): Command {
  const program = new Command('elsegrid')
    .description('An in-memory data grid for Node.js and TypeScript in which PACELC is a setting.')
    .version(context.version, '-V, --version')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.out(text.trimEnd()),
      writeErr: (text) => context.err(text.trimEnd()),
      outputError: (text, write) => write(text.replace(/^error: /, 'elsegrid: ')),
    })
    .showHelpAfterError('(--help lists what there is)')
    .addHelpText('after', HELP);
  registerStart(program, context, exit);
  registerStatus(program, context);
  registerMap(program, context);
  registerLong(program, context);
  registerQueue(program, context);
  registerMultiMap(program, context);
  registerList(program, context);
  registerExplain(program, context);
  registerConsistency(program, context);
  registerConfig(program, context);
  registerCluster(program, context);
  registerChaos(program, context, exit);
  program
    .command('member-process', { hidden: true })
    .description('one process of start --members')
    .action(async () => exit(await runMemberProcess(context)));
  return program;
}

function reportFailure(error: unknown, args: readonly string[], context: CliContext): ExitCode {
  // Commander has already printed what is wrong, or the help that was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  const exitCode = exitCodeOf(error);
  if (args.includes('--json')) {
    const { code, definite, retryable } = (error instanceof GridError ? error : {}) as Partial<GridError>;
    context.err(JSON.stringify({ error: { code: code ?? 'ERR_COMMAND', message, definite, retryable } }));
  } else {
    const code = error instanceof GridError ? ` (${error.code})` : '';
    context.err(`elsegrid: ${message}${code}`);
  }
  if (wantsStack(args, context) && stack !== undefined) context.err(stack);
  return exitCode;
}

function wantsStack(args: readonly string[], { env }: CliContext): boolean {
  const at = args.indexOf('--log-level');
  const level = at === -1 ? env.ELSEGRID_LOG_LEVEL : args[at + 1];
  return level === 'debug' || args.includes('--log-level=debug');
}
