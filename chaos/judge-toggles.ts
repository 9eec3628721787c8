/**
 * Holds a run with changing presets against what a strict preset promises: calls that began and ended while it held are
 * linearizable per key, nothing that was acknowledged then is lost, nor what had been acknowledged before it began to hold and
 * had outlived no crash by luck. Called by the judge of the runner.
 */
import { checkWindows } from './checker/windows.js';
import type { RunContext } from './run-context.js';
import type { Finding } from './workload/recorder.js';
import { type StrictWindow, TOGGLED_REGISTER, TOGGLED_SET } from './workload/toggle.js';

const MAX_STATES_PER_KEY = 300_000;
const NS_PER_MS = 1e6;
const SHOWN = 3;

export interface ToggleVerdict {
  readonly findings: readonly Finding[];
  /** Calls and keys that were judged. */
  readonly inside: number;
  readonly kept: number;
}

/** `set`: contents of the map whose keys were written once each, after the heal. */
export function judgeToggles(
  run: RunContext,
  windows: readonly StrictWindow[],
  set: ReadonlyMap<string, unknown> | null,
): ToggleVerdict {
  const inNs = windows.map(({ fromMs, toMs }) => ({ fromNs: fromMs * NS_PER_MS, toNs: toMs * NS_PER_MS }));
  const history = run.recorder.history(`${TOGGLED_REGISTER}/`);
  const { inside, failures } = checkWindows(history, inNs, MAX_STATES_PER_KEY);
  const findings = failures.slice(0, SHOWN).map(({ window, result }) => ({
    guarantee: 'G1 linearizable while the preset is strict',
    text: `from ${(window.fromNs / NS_PER_MS).toFixed(0)} to ${(window.toNs / NS_PER_MS).toFixed(0)} ms: ${result.text}`,
  }));
  if (set === null) return { findings, inside, kept: 0 };
  const kept = keptKeys(run, windows);
  const lost = kept.filter(({ k }) => !set.has(k));
  for (const { k, callMs, retMs } of lost.slice(0, SHOWN))
    findings.push({
      guarantee: 'G2 no acknowledged write is lost while the preset is strict',
      text: `${k}, called at ${callMs.toFixed(0)} and acknowledged at ${(retMs as number).toFixed(0)} ms (${lost.length} of ${kept.length})`,
    });
  const { entries } = run.recorder;
  const undone = entries.filter(
    ({ k, type }) => k.startsWith(`${TOGGLED_SET}/`) && type === 'fail' && set.has(k),
  );
  for (const { k } of undone.slice(0, SHOWN))
    findings.push({ guarantee: 'G9 at most once', text: `${k} was refused for certain, and is there` });
  return { findings, inside, kept: kept.length };
}

/** Keys that have to be there at the end. */
function keptKeys(run: RunContext, windows: readonly StrictWindow[]) {
  const crashesMs = run.nemesis.log.flatMap(({ fault, fromMs }) =>
    fault.kind === 'crash' && fromMs !== null ? [fromMs] : [],
  );
  return run.recorder.entries.filter(({ k, type, callMs, retMs }) => {
    if (!k.startsWith(`${TOGGLED_SET}/`) || type !== 'ok' || retMs === null) return false;
    return windows.some(({ fromMs, toMs }) => {
      if (callMs > fromMs && retMs < toMs) return true;
      // Loosely acknowledged, and still there when the strict preset began to hold: nobody had crashed until then.
      return retMs < fromMs && !crashesMs.some((crashMs) => crashMs >= callMs && crashMs <= fromMs);
    });
  });
}
