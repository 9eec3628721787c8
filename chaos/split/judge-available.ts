/**
 * What an available preset promises: every side serves what it holds, and every acknowledged write is there after the
 * merges or stands in a merge report. Called by `judge.ts`.
 */
import { partitionOfKey } from '../../partitions/placement.js';
import { encodeKey } from '../../src/wire/keys.js';
import { checkDeliveries } from '../checker/deliveries.js';
import type { HistoryOperation } from '../checker/history.js';
import { loseNothingSilently } from '../checker/ledger.js';
import { isQuery } from '../checker/queried.js';
import { checkKept } from '../checker/queues.js';
import { checkCounterBounds, checkWrittenOnce } from '../checker/sets.js';
import { deliveriesLeft } from '../judge.js';
import { LOCK_CODES } from '../locks.js';
import { CONTESTED } from '../workload/contested.js';
import { ACK_QUEUES, ACKS, DEAD_LETTERS, MAX_DELIVERIES } from '../workload/deliveries.js';
import { type Entry, type Finding, keyOf } from '../workload/recorder.js';
import { ofStores } from '../workload/stores.js';
import { isDisturbed, SIDE_SERVES_AFTER_MS } from './calm.js';
import { type Connectivity, isClient, type Stretch } from './connectivity.js';
import type { SplitContext } from './context.js';
import type { SplitFinal } from './final.js';
import type { Judged } from './judged.js';
import type { MergeReports } from './merge-reports.js';

const LEAST_SHARE = 0.95;
/** Calls that give up earlier may fail for a frame that was lost. */
const SHORTEST_CALL_MS = 2000;
/** Fewer calls than this say nothing about a share. */
const FEWEST_CALLS = 20;
/** Errors that only a side which serves gives. */
const SERVED_CODES: readonly string[] = [...LOCK_CODES, 'ERR_FUNCTION_FAILED'];
/** Calls that the end of the cut may have met are not counted. */
const BEFORE_HEAL_MS = 1500;
const NS_PER_MS = 1e6;
const SHOWN = 3;

export function judgeAvailable(run: SplitContext, final: SplitFinal, connectivity: Connectivity): Judged {
  const sides = judgeSides(run, connectivity);
  const ledger = judgeLedger(run, final, connectivity);
  const findings = [
    ...sides.findings,
    ...ledger.findings,
    ...judgeSet(run, final),
    ...judgeSums(run, final),
    ...judgeQueues(run, final),
    ...judgeAcks(run, final),
  ];
  return { findings, figures: { ...sides.figures, ...ledger.figures } };
}

function reportedOf({ discarded }: MergeReports, structure: string): Map<string, Set<string>> {
  const reported = new Map<string, Set<string>>();
  for (const entry of discarded) {
    if (entry.structure !== structure || entry.discarded === null) continue;
    const k = `${structure}/${entry.key}`;
    reported.set(k, (reported.get(k) ?? new Set()).add(entry.discarded));
  }
  return reported;
}

/** Items that have to be acknowledged. */
function judgeAcks(run: SplitContext, final: SplitFinal): Finding[] {
  const left = deliveriesLeft(final);
  if (left === null) return [];
  const names: readonly string[] = [...ACK_QUEUES, DEAD_LETTERS];
  const own = final.reports.discarded.filter(({ structure }) => names.includes(structure));
  const limits = { maxDeliveries: MAX_DELIVERIES, reported: own.map(({ discarded }) => discarded) };
  return checkDeliveries(run.recorder.history(`${ACKS}/`), left, limits).map((text) => ({
    guarantee: 'G7 deliveries are merged',
    text,
  }));
}

function judgeQueues(run: SplitContext, { queues, reports }: SplitFinal): Finding[] {
  return [...queues].flatMap(([k, left]) => {
    if (k.startsWith(`${ACKS}/`)) return [];
    const own = reports.discarded.filter(({ structure }) => structure === keyOf({ k, f: '' }));
    const reported = own.map(({ discarded }) => discarded);
    return checkKept(run.recorder.history(k), left, reported).map((text) => ({
      guarantee: 'G7 queues are merged',
      text: `${k}: ${text}`,
    }));
  });
}

function judgeLedger(
  run: SplitContext,
  { contested, reports }: SplitFinal,
  connectivity: Connectivity,
): Judged {
  const history = run.recorder.history(`${CONTESTED}/`);
  const entries = run.recorder.entries.filter(({ k }) => k.startsWith(`${CONTESTED}/`));
  const placeOf = new Map(
    history.map((operation, i) => [operation, sidesOf(entries[i] as Entry, connectivity)]),
  );
  const mayFollow = (first: HistoryOperation, second: HistoryOperation) => {
    const retMs = (second.ret ?? Number.POSITIVE_INFINITY) / NS_PER_MS;
    if (retMs <= first.call / NS_PER_MS) return false;
    const from = placeOf.get(first) as ReadonlySet<string>;
    const there = placeOf.get(second) as ReadonlySet<string>;
    if ([...from].some((host) => there.has(host))) return true;
    // A merge may have brought the first one to a side that was cut off again when the second one was called.
    const carried = connectivity.carriedTo(from, first.call / NS_PER_MS, retMs);
    return [...there].some((host) => carried.has(host));
  };
  const reported = reportedOf(reports, CONTESTED);
  const { lost, problems, ...counts } = loseNothingSilently({
    history,
    found: contested,
    reported,
    mayFollow,
  });
  const findings: Finding[] = problems.map((text) => ({ guarantee: 'G9 at most once', text }));
  for (const { k, f, v, to, c, ret } of reports.isTruncated ? [] : lost.slice(0, SHOWN)) {
    const now = String(contested.get(k) ?? 'absent');
    const text = `${f} of ${k} to ${String(f === 'cas' ? to : v)} by caller ${c}, answered at ${ms(ret)} ms, is neither there (${now}) nor in a merge report (${lost.length} of ${counts.acknowledged})`;
    findings.push({ guarantee: 'G6 no silent loss', text });
  }
  findings.push(...judgeLatest(run, reports, history));
  return { findings, figures: { ...counts, lost: lost.length } };
}

/**
 * Under LatestUpdate a write that was answered before anything was cut is never kept in the place of one that was
 * called after it: whatever the wall clocks say, the later one is newer.
 */
function judgeLatest(
  run: SplitContext,
  { discarded }: MergeReports,
  history: readonly HistoryOperation[],
): Finding[] {
  const cutMs = run.nemesis.cuts[0]?.fromMs;
  if (run.plan.mergePolicy !== 'LatestUpdate' || cutMs === undefined) return [];
  const byValue = new Map(history.map((operation) => [String(operation.to ?? operation.v), operation]));
  const wrong = discarded.filter((entry) => {
    const kept = byValue.get(entry.kept ?? '');
    const other = byValue.get(entry.discarded ?? '');
    if (entry.structure !== CONTESTED || kept === undefined || other === undefined) return false;
    // A call of unknown outcome may have been declared void: then it is left out of the merge whatever its time.
    if (other.type !== 'ok') return false;
    return (kept.ret ?? Number.POSITIVE_INFINITY) < cutMs * NS_PER_MS && other.call > cutMs * NS_PER_MS;
  });
  return wrong.slice(0, SHOWN).map(({ key, kept, discarded: lost }) => ({
    guarantee: 'G6 the latest write is kept',
    text: `a merge kept ${kept} of ${key}, from before the cut, and discarded ${lost}, which came after it (${wrong.length} such)`,
  }));
}

function ms(ns: number | null): string {
  return ((ns ?? 0) / NS_PER_MS).toFixed(0);
}

/** The members that a call may have reached, directly or through others, while it was under way. */
function sidesOf({ caller, callMs, retMs }: Entry, connectivity: Connectivity): ReadonlySet<string> {
  const toMs = retMs ?? Number.POSITIVE_INFINITY;
  // A client that reaches two sides joins nothing: it is the members where writes meet.
  const around = connectivity.aroundDuring(caller.host, callMs, toMs);
  return new Set([...around].filter((host) => !isClient(host)));
}

function judgeSet(run: SplitContext, { set, reports }: SplitFinal): Finding[] {
  if (set === null) return [];
  const reported = reportedOf(reports, 'set');
  const history = run.recorder.history('set/').filter(({ k, v }) => {
    return set.has(k) || reported.get(k)?.has(v as string) !== true;
  });
  const problems = checkWrittenOnce(history, set);
  return reports.isTruncated ? [] : problems.map((text) => ({ guarantee: 'G6 no silent loss', text }));
}

function judgeSums(run: SplitContext, { counters }: SplitFinal): Finding[] {
  return [...counters].flatMap(([k, value]) =>
    checkCounterBounds(run.recorder.history(k), value).map((text) => ({
      guarantee: text.includes('acknowledged') ? 'G7 no addition is lost' : 'G9 at most once',
      text: `${k}: ${text}`,
    })),
  );
}

/** Shares of calls that sides without any way to the rest acknowledged, of those that they hold a replica for. */
function judgeSides(run: SplitContext, connectivity: Connectivity): Judged {
  const findings: Finding[] = [];
  const total = { sideCalls: 0, sideAcknowledged: 0 };
  const hosts = [...new Set(run.recorder.entries.map(({ caller }) => caller.host))];
  for (const stretch of connectivity.stretches) {
    if (stretch.cut.size === 0) continue;
    for (const host of hosts) {
      const side = connectivity.cleanSide(stretch, host);
      if (side === null || side.length === 0 || isDisturbed(run, stretch, side)) continue;
      const calls = countedCalls(run, stretch, host, side);
      // Whoever hears that somebody has the lock, or what a function threw on purpose, was served.
      const isServed = ({ type, code = '' }: Entry) => type === 'ok' || SERVED_CODES.includes(code);
      const refused = calls.filter((call) => !isServed(call));
      total.sideCalls += calls.length;
      total.sideAcknowledged += calls.length - refused.length;
      if (calls.length < FEWEST_CALLS || refused.length <= calls.length * (1 - LEAST_SHARE)) continue;
      const codes = [...new Set(refused.map(({ code }) => code))].join(', ');
      const text = `the side ${side.join('+')}, cut off at ${stretch.fromMs.toFixed(0)} ms, answered ${calls.length - refused.length} of ${calls.length} calls of ${host} (${codes})`;
      findings.push({ guarantee: 'G5 every side serves', text });
    }
  }
  return { findings, figures: total };
}

function countedCalls(run: SplitContext, stretch: Stretch, host: string, side: readonly string[]): Entry[] {
  const fromMs = stretch.fromMs + SIDE_SERVES_AFTER_MS;
  const held = heldBy(run, stretch.fromMs, side);
  return run.recorder.entries.filter(({ caller, callMs, deadlineMs, isPart, k }) => {
    const isInside = caller.host === host && callMs >= fromMs && callMs <= stretch.toMs - BEFORE_HEAL_MS;
    // What a call for several keys comes to depends on all of their partitions, and a short one on single frames.
    // Stores have troubles of their own, and are not written to by a side without the majority.
    const counts = isInside && !isPart && !ofStores(k) && deadlineMs - callMs >= SHORTEST_CALL_MS;
    const count = run.plan.partitionCount;
    return counts && (isQuery({ k }) ? held.size === count : held.has(partitionOfItem(k, count)));
  });
}

/** Partitions with a synced replica on the side, by the newest view that anybody there had at the cut. */
function heldBy(run: SplitContext, atMs: number, side: readonly string[]): Set<number> {
  const views = side.map((host) => run.lineages.viewAt(host, atMs)).filter((view) => view !== null);
  const newest = views.sort((a, b) => b.number - a.number)[0];
  const ids = new Set(side.map((host) => run.cluster.members.get(host)?.member.id));
  const held = new Set<number>();
  newest?.table.forEach(({ replicas }, partition) => {
    if (replicas.some(({ member, synced }) => synced && ids.has(member))) held.add(partition);
  });
  return held;
}

function partitionOfItem(k: string, count: number): number {
  return partitionOfKey(encodeKey(keyOf({ k, f: '' })), count);
}
