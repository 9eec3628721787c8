/**
 * `npm run demo:pacelc`: the same writes and reads under the four presets while the network between three members and
 * two really comes apart, and one table of what each letter of PACELC bought. Exit code 0: every promise was kept; 1: one
 * was broken, or the run failed; 2: wrong usage; 130: interrupted. `--json` prints the figures for programs.
 */
import process from 'node:process';
import { parseArgs } from 'node:util';
import { bold, dim, green, red, say, yellow } from '../screen.js';
import { explanation, refusals } from './explanation.js';
import { figuresOf } from './figures.js';
import { Live } from './live.js';
import { DEFAULT_SECONDS, LEASE_MS, LEAST_SECONDS, lengthsOf } from './plan.js';
import { runSplit } from './run.js';
import { Stage } from './stage.js';
import { drawTable } from './table.js';
import { brokenPromises } from './verdict.js';

const DISTANCE_MS = 3;
const MAX_SECONDS = 600;
const MAX_DISTANCE_MS = 100;
const INTERRUPTED = 130;
const PATIENCE_MS = 5_000;
const DISTURBED =
  'Members were taken for dead before the cut, because this machine is busy: PA/EC is not judged for that time.';
const paint = { bold, dim, green, yellow, red };

interface Settings {
  readonly seconds: number;
  readonly distanceMs: number;
  readonly json: boolean;
}

function readSettings(): Settings {
  const { values } = parseArgs({
    options: { seconds: { type: 'string' }, distance: { type: 'string' }, json: { type: 'boolean' } },
  });
  const seconds = Number(values.seconds ?? DEFAULT_SECONDS);
  if (!(seconds >= LEAST_SECONDS && seconds <= MAX_SECONDS))
    throw new Error(`--seconds: expected ${LEAST_SECONDS} to ${MAX_SECONDS}, got ${values.seconds}`);
  const distanceMs = Number(values.distance ?? DISTANCE_MS);
  if (!(distanceMs >= 0 && distanceMs <= MAX_DISTANCE_MS))
    throw new Error(`--distance: expected 0 to ${MAX_DISTANCE_MS} ms, got ${values.distance}`);
  return { seconds, distanceMs, json: values.json === true };
}

async function demonstrate(settings: Settings, signal: AbortSignal): Promise<number> {
  await using stage = new Stage(new URL('../member-process.js', import.meta.url), settings.distanceMs);
  // A member that is being started, or a call that hangs, ends with the stage.
  signal.addEventListener('abort', () => void stage[Symbol.asyncDispose]());
  using live = new Live(paint);
  if (!settings.json) live.start();
  const outcome = await runSplit(stage, lengthsOf(settings.seconds), live, signal);
  live[Symbol.dispose]();
  const figures = figuresOf(outcome, LEASE_MS);
  const broken = brokenPromises(figures);
  if (settings.json) {
    say(JSON.stringify({ kept: broken.length === 0, broken, ...figures }, null, 2));
  } else {
    const picture = live.picture(outcome.times.endMs);
    const pages = [
      picture,
      drawTable(figures, paint),
      refusals(figures),
      explanation(figures, settings.distanceMs),
    ];
    for (const page of pages) say(`\n${page.join('\n')}`);
    if (figures.isDisturbed) say(yellow(`\n${DISTURBED}`));
    for (const text of broken) say(red(`\nBROKEN  ${text}`));
    if (broken.length === 0) say(green('\nEvery promise was kept.'));
  }
  return broken.length === 0 ? 0 : 1;
}

/** Ends what was started; should a member hang while it starts, it ends with this process. */
function interrupt(interrupted: AbortController): void {
  interrupted.abort();
  setTimeout(() => process.exit(INTERRUPTED), PATIENCE_MS).unref();
}

async function main(): Promise<number> {
  let settings: Settings;
  try {
    settings = readSettings();
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    return 2;
  }
  const interrupted = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(name, () => interrupt(interrupted));
  try {
    return await demonstrate(settings, interrupted.signal);
  } catch (error) {
    if (interrupted.signal.aborted) return INTERRUPTED;
    process.stderr.write(red(`\nthe demonstration failed: ${(error as Error).stack}\n`));
    return 1;
  }
}

process.exit(await main());
