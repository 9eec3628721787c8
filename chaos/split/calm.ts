/**
 * Stretches of time in which some hosts were a world of their own: everything before the first fault, and sides that were cut
 * off cleanly, once they have had time to go on by themselves. What happened inside one is held against what a whole cluster
 * promises. Called by the judges of workloads. Invariant: what is doubtful is no such stretch.
 */
import type { Entry } from '../workload/recorder.js';
import { type Connectivity, isClient, type Stretch } from './connectivity.js';
import type { SplitContext } from './context.js';
import { SIDE_CLIENTS } from './shapes.js';

/** From then on after its cut a side has to serve; clients need as long to give up members that are silent. */
export const SIDE_SERVES_AFTER_MS = 6000;
/** Merges of earlier cuts have ended so long after their heal. */
const MERGED_AFTER_MS = 15_000;
const DISTURBING: readonly string[] = ['crash', 'restart', 'pause', 'delay', 'loss'];

export interface Calm {
  /** Members and clients. */
  readonly hosts: ReadonlySet<string>;
  readonly fromMs: number;
  readonly toMs: number;
  /** Null: of all, before anything was cut. */
  readonly side: readonly string[] | null;
}

export function calmTimes(run: SplitContext, connectivity: Connectivity): Calm[] {
  const hosts = [...run.cluster.members.keys(), ...run.cluster.clientHosts];
  const quietUntilMs = Math.min(
    ...run.nemesis.cuts.map(({ fromMs }) => fromMs),
    ...run.nemesis.log.flatMap(({ fault, fromMs }) =>
      fromMs !== null && DISTURBING.includes(fault.kind) ? [fromMs] : [],
    ),
  );
  const sides = connectivity.stretches.flatMap((stretch) => sidesOf(run, connectivity, stretch, hosts));
  return [{ hosts: new Set(hosts), fromMs: 0, toMs: quietUntilMs, side: null }, ...sides];
}

function sidesOf(
  run: SplitContext,
  connectivity: Connectivity,
  stretch: Stretch,
  hosts: readonly string[],
): Calm[] {
  if (stretch.cut.size === 0 || stretch.toMs - stretch.fromMs < SIDE_SERVES_AFTER_MS) return [];
  if (isAfterAnother(run, stretch)) return [];
  const sides = new Map<string, { members: readonly string[]; hosts: Set<string> }>();
  for (const host of hosts) {
    const members = connectivity.cleanSide(stretch, host);
    if (members === null || members.length === 0) continue;
    const name = [...members].sort().join('+');
    const side = sides.get(name) ?? { members, hosts: new Set(members) };
    sides.set(name, side);
    side.hosts.add(host);
  }
  const clean = [...sides.values()].filter(
    ({ members }) => !isDisturbed(run, stretch, members) && !isLossy(run, stretch),
  );
  const fromMs = stretch.fromMs + SIDE_SERVES_AFTER_MS;
  return clean.map(({ members, hosts: all }) => ({ hosts: all, fromMs, toMs: stretch.toMs, side: members }));
}

/** What earlier cuts left may still be merged on the side. */
function isAfterAnother(run: SplitContext, { fromMs, toMs }: Stretch): boolean {
  return run.nemesis.cuts.some((cut) => cut.fromMs < fromMs && (cut.toMs ?? toMs) > fromMs - MERGED_AFTER_MS);
}

function isLossy(run: SplitContext, stretch: Stretch): boolean {
  return run.nemesis.log.some(({ fault, fromMs, toMs }) => {
    const isOne = fault.kind === 'delay' || fault.kind === 'loss';
    return isOne && fromMs !== null && fromMs <= stretch.toMs && (toMs ?? stretch.toMs) >= stretch.fromMs;
  });
}

/** Something else than the cut happened to members of the side, so that its calls say nothing about cuts. */
export function isDisturbed(run: SplitContext, stretch: Stretch, side: readonly string[]): boolean {
  const marginMs = 3 * run.plan.suspicionMs;
  const isNear = (fromMs: number, toMs: number) =>
    fromMs <= stretch.toMs && toMs >= stretch.fromMs - marginMs;
  const processes = run.nemesis.log.some(({ fault, met, fromMs, toMs }) => {
    if (fromMs === null || !['crash', 'restart', 'pause', 'join'].includes(fault.kind)) return false;
    return isNear(fromMs, toMs ?? stretch.toMs) && met.some((host) => side.includes(host));
  });
  const before = run.nemesis.cuts.some((cut) => {
    return cut.fromMs < stretch.fromMs && isNear(cut.fromMs, cut.toMs ?? stretch.toMs);
  });
  return processes || before;
}

export interface Timed {
  readonly caller: { readonly host: string };
  readonly callMs: number;
  readonly retMs: number | null;
}

/** Whether a call began and ended there. */
export function isInside({ hosts, fromMs, toMs }: Calm, { caller, callMs, retMs }: Timed): boolean {
  return hosts.has(caller.host) && callMs >= fromMs && retMs !== null && retMs < toMs;
}

/** Calls of the stretch; of changes elsewhere that may have come in there it is not known when they did. */
export function mattering(time: Calm, calls: readonly Entry[], isChange: (call: Entry) => boolean): Entry[] {
  return calls.flatMap((call): Entry[] => {
    if (isInside(time, call)) return [call];
    const { callMs, retMs, caller } = call;
    const mayMeet = callMs < time.toMs && (retMs === null || retMs >= time.fromMs);
    const isElsewhere = callMs >= time.fromMs && !time.hosts.has(caller.host) && isPlaced(caller.host);
    return isChange(call) && mayMeet && !isElsewhere ? [{ ...call, type: 'info', retMs: null }] : [];
  });
}

/** It is on one side of a cut alone. */
export function isPlaced(host: string): boolean {
  return !isClient(host) || (SIDE_CLIENTS as readonly string[]).includes(host);
}

/** A process that starts where it finds nobody founds a cluster of its own, and knows of no earlier one. */
export function mayBeApart(
  run: SplitContext,
  connectivity: Connectivity,
  { caller, callMs, retMs }: Timed,
): boolean {
  const around = connectivity.aroundDuring(caller.host, callMs, retMs ?? callMs);
  return [...around].some((host) => {
    const view = run.lineages.viewAt(host, retMs ?? callMs);
    return view !== null && view.parent === null && view.lineage !== run.lineages.chain;
  });
}

/** The members that a client may have reached, as far as a check by sides goes. */
export function membersOf({ hosts }: Calm): string[] {
  return [...hosts].filter((host) => !isClient(host));
}
