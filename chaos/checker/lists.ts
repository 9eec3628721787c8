/**
 * Lists to which entry processors append the name of their call, on sides that are merged: of two lists of a key one is kept
 * and the other one reported, so that a list which anybody saw only ever grows on its side. Called by the judge of processors
 * under available presets. Invariant: nothing is said about calls of unknown outcome but that they ran once at the most.
 */

/** A list that somebody saw; times in virtual ms. */
export interface SeenList {
  readonly list: readonly string[];
  readonly callMs: number;
  readonly retMs: number;
  /** The name that its own call appended last, or null for a read. */
  readonly appended: string | null;
}

export interface Append {
  readonly name: string;
  /**
   * `void`: reported as not done to who asked later. Another side may have run it before it was declared void, and what ran there
   * on top of it stands; its own change never does.
   */
  readonly type: 'ok' | 'fail' | 'info' | 'void';
}

export interface ListsInput {
  readonly k: string;
  readonly appends: readonly Append[];
  /** What calls and reads gave, wherever. */
  readonly seen: readonly SeenList[];
  /** By stretch of time in which nobody else could come in: the same, of the calls inside. */
  readonly sides: readonly (readonly SeenList[])[];
  /** What is left in the end. */
  readonly final: readonly string[];
  /** Lists that merges have discarded. */
  readonly discarded: readonly (readonly string[])[];
  /** A report says that something of the key may have been lost, or had no room for all. */
  readonly isExcused: boolean;
}

export interface ListsProblem {
  readonly kind: 'twice' | 'lost' | 'undone' | 'order';
  readonly text: string;
}

export function checkLists(input: ListsInput): ListsProblem[] {
  const { k, appends, final, discarded, isExcused } = input;
  const problems: ListsProblem[] = [];
  const say = (kind: ListsProblem['kind'], text: string) => problems.push({ kind, text: `${k}: ${text}` });
  const types = new Map(appends.map(({ name, type }) => [name, type]));
  const lists = [...input.seen.map(({ list }) => list), final, ...discarded];
  const told = new Set<string>();
  for (const list of lists)
    for (const [index, name] of list.entries()) {
      const isTwice = list.indexOf(name) !== index;
      const type = types.get(name);
      const text = isTwice
        ? `the processor of ${name} ran twice: ${list.join(' ')}`
        : type === undefined
          ? `${name} was appended by no call`
          : type === 'fail'
            ? `${name} is there and had been refused`
            : null;
      if (text === null || told.has(`${name} ${isTwice}`)) continue;
      told.add(`${name} ${isTwice}`);
      say(isTwice ? 'twice' : 'undone', text);
    }
  if (types.get(final.at(-1) ?? '') === 'void')
    say('undone', `${final.at(-1)} is the last in the list and had been reported as not done`);
  for (const { list, appended } of input.seen)
    if (appended !== null && list.at(-1) !== appended)
      say('twice', `the answer to ${appended} does not end with it: ${list.join(' ')}`);
  if (!isExcused) {
    const kept = new Set([final, ...discarded].flat());
    for (const { name, type } of appends)
      if (type === 'ok' && !kept.has(name))
        say('lost', `the acknowledged ${name} is neither in the list nor in a discarded one`);
  }
  for (const side of input.sides) for (const text of orderOf(side)) say('order', text);
  return problems;
}

/** On one side all lists are states of one list that grows, each call sees what was answered before it. */
function orderOf(side: readonly SeenList[]): string[] {
  const problems: string[] = [];
  const byLength = [...side].sort((a, b) => a.list.length - b.list.length);
  for (let i = 1; i < byLength.length; i++) {
    const [shorter, longer] = [byLength[i - 1] as SeenList, byLength[i] as SeenList];
    if (shorter.list.some((name, index) => longer.list[index] !== name))
      return [`one side saw ${shorter.list.join(' ')} and ${longer.list.join(' ')}`];
    const isSame = shorter.list.length === longer.list.length;
    if (isSame && shorter.appended !== null && longer.appended !== null)
      problems.push(`${shorter.appended} and ${longer.appended} were both answered with one list`);
  }
  for (const later of side)
    for (const earlier of side) {
      if (earlier.retMs >= later.callMs) continue;
      const mustGrow = later.appended !== null ? 1 : 0;
      if (later.list.length < earlier.list.length + mustGrow)
        problems.push(
          `a call at ${later.callMs.toFixed(0)} ms did not see what was answered at ${earlier.retMs.toFixed(0)} ms: ${later.list.join(' ')}, after ${earlier.list.join(' ')}`,
        );
    }
  return problems;
}
