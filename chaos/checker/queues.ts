/**
 * Checks of queues whose items are put in once each, without a search: what was given out, how often and in which
 * order, against what was put in and what is left in the end. `checkOrder` holds a history against one queue in one
 * total order: the conditions are those whose violations make up all violations of a queue's linearizability (nothing
 * invented, nothing twice, no overtaking, no emptiness while an item is there), each by intervals of time. `checkKept` is
 * for sides that go on apart and are merged.
 */
import type { HistoryOperation } from './history.js';

const SHOWN = 5;
const NEVER = Number.POSITIVE_INFINITY;

interface Added {
  readonly item: string;
  readonly call: number;
  readonly ret: number;
  readonly isAcknowledged: boolean;
  /** Items of one call have an order among each other. */
  readonly operation: HistoryOperation;
  readonly index: number;
}

interface Taken {
  readonly item: string;
  readonly call: number;
  readonly ret: number;
  readonly operation: HistoryOperation | null;
  readonly index: number;
}

interface Read {
  readonly added: ReadonlyMap<string, Added>;
  readonly taken: ReadonlyMap<string, readonly Taken[]>;
  /** Items that calls of unknown outcome may have taken. */
  readonly maybeTaken: number;
}

function read(history: readonly HistoryOperation[]): Read {
  const added = new Map<string, Added>();
  const taken = new Map<string, Taken[]>();
  let maybeTaken = 0;
  for (const operation of history) {
    const { f, v, call, ret, type, out } = operation;
    const times = { call, ret: ret ?? NEVER, operation };
    if (f === 'offer' || f === 'addAll') {
      if (type === 'fail' || (type === 'ok' && out === false)) continue;
      (v as string[]).forEach((item, index) => {
        added.set(item, { item, ...times, isAcknowledged: type === 'ok', index });
      });
    } else if (f === 'poll' || f === 'drain') {
      if (type === 'info') maybeTaken += v as number;
      if (type !== 'ok') continue;
      (out as string[]).forEach((item, index) => {
        taken.set(item, [...(taken.get(item) ?? []), { item, ...times, index }]);
      });
    }
  }
  return { added, taken, maybeTaken };
}

/** `left`: what is in the queue in the end, in order. A line for each kind of problem. */
export function checkOrder(
  history: readonly HistoryOperation[],
  left: readonly string[],
  maxSize: number,
): string[] {
  const { added, taken, maybeTaken } = read(history);
  const ends = new Map<string, Taken>();
  for (const [item, [first]] of taken) if (first !== undefined) ends.set(item, first);
  left.forEach((item, index) => {
    if (!ends.has(item)) ends.set(item, { item, call: NEVER, ret: NEVER, operation: null, index });
  });
  return [
    ...told('given out more than once', twice(taken, left)),
    ...told(
      'given out or left, but never put in',
      [...ends.keys()].filter((item) => !added.has(item)),
    ),
    ...told('put in, and lost', lost(added, ends, maybeTaken)),
    ...told('overtaken by a later one', overtaken(added, ends)),
    ...told(
      'there while the queue was said to be empty, or to have another head',
      unseen(history, added, ends),
    ),
    ...told('refused although there was room', refusedWithRoom(history, added, taken, maxSize)),
    ...(left.length > maxSize ? [`${left.length} items in a queue of at most ${maxSize}`] : []),
  ];
}

/** What holds for sides that are merged. `reported`: items of merge reports; a null is one whose value is not known. */
export function checkKept(
  history: readonly HistoryOperation[],
  left: readonly string[],
  reported: readonly (string | null)[],
): string[] {
  const { added, taken, maybeTaken } = read(history);
  const ends = new Map<string, unknown>([...taken, ...left.map((item) => [item, null] as const)]);
  const known = new Set(reported);
  let unnamed = reported.filter((item) => item === null).length;
  const silent = [...taken].filter(([item, all]) => all.length > 1 && !known.has(item) && unnamed-- <= 0);
  // What was given out there counts here: it is there a second time, and reported.
  const back = left.filter((item) => taken.has(item) && !known.has(item) && unnamed-- <= 0);
  return [
    // A side may have given out what the other one has declared void: then it is reported.
    ...told(
      'given out or left, but never put in',
      [...ends.keys()].filter((item) => !added.has(item) && !known.has(item)),
    ),
    ...told('put in, and lost', lost(added, ends, maybeTaken)),
    ...told('given out, and there again', back),
    ...told(
      'twice in the queue',
      left.filter((item, i) => left.indexOf(item) !== i),
    ),
    ...told(
      'given out more than once, and in no merge report',
      silent.map(([item]) => item),
    ),
  ];
}

function told(what: string, items: readonly string[]): string[] {
  if (items.length === 0) return [];
  return [`${items.length} items were ${what}: ${items.slice(0, SHOWN).join(', ')}`];
}

function twice(taken: ReadonlyMap<string, readonly Taken[]>, left: readonly string[]): string[] {
  const often = [...taken].filter(([, all]) => all.length > 1).map(([item]) => item);
  return [...often, ...left.filter((item, i) => taken.has(item) || left.indexOf(item) !== i)];
}

function lost(
  added: ReadonlyMap<string, Added>,
  ends: ReadonlyMap<string, unknown>,
  maybeTaken: number,
): string[] {
  const gone = [...added.values()].filter(({ item, isAcknowledged }) => isAcknowledged && !ends.has(item));
  return gone.length > maybeTaken ? gone.map(({ item }) => item) : [];
}

function isBefore(a: Added, b: Added): boolean {
  return a.operation === b.operation ? a.index < b.index : a.ret < b.call;
}

/** Items that were put in before another one, and taken, for certain, after it. */
function overtaken(added: ReadonlyMap<string, Added>, ends: ReadonlyMap<string, Taken>): string[] {
  const known = [...ends.values()].flatMap((end) => {
    const from = added.get(end.item);
    return from === undefined ? [] : [{ from, end }];
  });
  const isLater = (a: Taken, b: Taken) => (a.operation === b.operation ? a.index > b.index : a.call > b.ret);
  return known
    .filter((one) => known.some((other) => isBefore(one.from, other.from) && isLater(one.end, other.end)))
    .map(({ from }) => from.item);
}

/** Items that were there all the time while a call saw nothing, or a later one at the head. */
function unseen(
  history: readonly HistoryOperation[],
  added: ReadonlyMap<string, Added>,
  ends: ReadonlyMap<string, Taken>,
): string[] {
  const found = new Set<string>();
  for (const { f, type, call, ret, out } of history) {
    const isLook =
      f === 'peek' || ((f === 'poll' || f === 'drain') && (out as string[] | undefined)?.length === 0);
    if (!isLook || type !== 'ok') continue;
    const [head] = out as string[];
    const seen = head === undefined ? undefined : added.get(head);
    if (head !== undefined && (ends.get(head)?.ret ?? NEVER) < call) found.add(head);
    for (const from of added.values()) {
      const end = ends.get(from.item);
      if (end === undefined || from.ret >= call || end.call <= (ret as number)) continue;
      if (head === undefined || (seen !== undefined && isBefore(from, seen))) found.add(from.item);
    }
  }
  return [...found];
}

/** Items that did not get in, although so many could not have been there then. */
function refusedWithRoom(
  history: readonly HistoryOperation[],
  added: ReadonlyMap<string, Added>,
  taken: ReadonlyMap<string, readonly Taken[]>,
  maxSize: number,
): string[] {
  const found: string[] = [];
  for (const { f, v, type, out, call, ret } of history) {
    if ((f !== 'offer' && f !== 'addAll') || type !== 'ok' || out !== false) continue;
    const items = v as string[];
    const mayBeThere = [...added.values()].filter(({ item, call: since }) => {
      const gone = taken.get(item)?.[0];
      return since < (ret as number) && !(gone !== undefined && gone.ret < call);
    });
    if (mayBeThere.length + items.length <= maxSize) found.push(...items);
  }
  return found;
}
