/**
 * The rules of the house that no compiler or linter knows, as functions from a file to what is wrong with it.
 * `tidy.test.ts` runs them over the whole tree, and over planted violations to see that they bite.
 */
import ts from 'typescript';

export interface SourceFile {
  /** Relative to the project, with forward slashes. */
  readonly path: string;
  readonly text: string;
}

/** Habit and limit of the length of a source file, in lines. */
export const HABIT_LINES = 300;
export const LIMIT_LINES = 500;

const CORE = /^(src\/(base|wire|cluster|policy)|partitions|replication|nearcache|listeners)\//;

/** What would make two runs of one seed differ, or a step of the core wait. */
const BANNED_NAMES: ReadonlyMap<string, string> = new Map([
  ['performance', 'time comes from the Clock port'],
  ...['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask'].map(
    (name) => [name, 'timers come from the Clock port'] as const,
  ),
  ['crypto', 'chance comes from the Random port'],
  ['console', 'logs go through the Logger port'],
  ['process', 'the core does not know its process'],
  ['globalThis', 'the core uses no global state'],
  ['fetch', 'the network is the Transport port'],
  ['Promise', 'the core is synchronous; promises are made once per user call, by proxies'],
]);

interface Exception {
  readonly path: RegExp;
  readonly names: readonly string[];
  readonly why: string;
}

/** A file of the core that may use what the others may not. `async` stands for `async` and `await`. */
export const EXCEPTIONS: readonly Exception[] = [
  {
    path: /^src\/base\/ports\.ts$/,
    names: ['Promise'],
    why: 'listening is asked for by doors, outside the core',
  },
  {
    path: /^src\/base\/errors\.ts$/,
    names: ['Promise'],
    why: 'the type of resolve(), which user code awaits',
  },
  {
    path: /^src\/wire\/tagged\.ts$/,
    names: ['globalThis'],
    why: 'asks whether the runtime has Float16Array, which Node 20 has not',
  },
  {
    path: /^partitions\/invoker\.ts$/,
    names: ['Promise'],
    why: 'the type of what proxies call; client and member make the one promise of a user call',
  },
  {
    path: /^partitions\/services\/(?:[^/]+\/)?proxy(-[a-z]+)?\.ts$/,
    names: ['Promise', 'async'],
    why: 'the public API over an Invoker: one promise per user call',
  },
];

/** Banned globals in a file of the core, one line of text for each use. */
export function bannedInCore(file: SourceFile): string[] {
  if (!CORE.test(file.path)) return [];
  const allowed = new Set(
    EXCEPTIONS.filter(({ path }) => path.test(file.path)).flatMap(({ names }) => names),
  );
  const source = ts.createSourceFile(file.path, file.text, ts.ScriptTarget.ESNext, true);
  const found: string[] = [];
  const report = (node: ts.Node, name: string, why: string) => {
    if (allowed.has(name)) return;
    const { line } = source.getLineAndCharacterOfPosition(node.getStart());
    found.push(`${file.path}:${line + 1} uses ${name}: ${why}`);
  };
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node) && !isOwnName(node)) {
      const why = BANNED_NAMES.get(node.text);
      if (why !== undefined) report(node, node.text, why);
    }
    if (isMember(node, 'Math', 'random')) report(node, 'Math.random', 'chance comes from the Random port');
    if (readsWallClock(node)) report(node, 'Date', 'time comes from the Clock port');
    if (node.kind === ts.SyntaxKind.AsyncKeyword || node.kind === ts.SyntaxKind.AwaitKeyword) {
      report(node, 'async', 'the core is synchronous');
    }
    if (ts.isAwaitExpression(node)) report(node, 'async', 'the core is synchronous');
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** True for the `x` of `a.x`, `{ x: 1 }` and of members called `x`: these name something of ours. */
function isOwnName(node: ts.Identifier): boolean {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent) || ts.isPropertyAssignment(parent)) return parent.name === node;
  return ts.isClassElement(parent) || ts.isTypeElement(parent) ? parent.name === node : false;
}

function isMember(node: ts.Node, object: string, member: string): boolean {
  return (
    ts.isPropertyAccessExpression(node) &&
    ts.isIdentifier(node.expression) &&
    node.expression.text === object &&
    node.name.text === member
  );
}

/** `Date.now`, `Date()` and `new Date()`; a Date made of a number, as a value to be stored, reads no clock. */
function readsWallClock(node: ts.Node): boolean {
  if (isMember(node, 'Date', 'now')) return true;
  const isDate = (callee: ts.Node) => ts.isIdentifier(callee) && callee.text === 'Date';
  if (ts.isNewExpression(node)) return isDate(node.expression) && (node.arguments?.length ?? 0) === 0;
  return ts.isCallExpression(node) && isDate(node.expression);
}

const LEFTOVER = new RegExp(`\\b(${['TO', 'FIX', 'XX'].join('|')})(?:DO|ME|X)\\b`);

/** Marks of unfinished work. */
export function leftovers(file: SourceFile): string[] {
  return linesMatching(file, LEFTOVER, 'marks unfinished work; finish it or file it');
}

const SWITCHED_OFF =
  /\b(?:it|test|describe|suite)(?:\.[a-z]+(?:\([^)]*\))?)*\.(?:only|skip|todo|skipIf|runIf)\b|\bx(?:it|describe)\(/;

/** Tests that are switched off, or that switch off the others. */
export function switchedOff(file: SourceFile): string[] {
  return linesMatching(file, SWITCHED_OFF, 'switches tests off');
}

function linesMatching(file: SourceFile, pattern: RegExp, what: string): string[] {
  return file.text
    .split('\n')
    .flatMap((line, index) =>
      pattern.test(line) ? [`${file.path}:${index + 1} ${what}: ${line.trim()}`] : [],
    );
}

/** A file must open with a comment of at least a few words: what it is for. Tests say it by their names. */
export function missingOpening(file: SourceFile): string[] {
  if (file.path.endsWith('.test.ts')) return [];
  const text = file.text.replace(/^#!.*\n/, '').trimStart();
  const comment = /^\/\*[\s\S]*?\*\//.exec(text)?.[0] ?? /^(\/\/.*\n)+/.exec(text)?.[0] ?? '';
  const words = comment.match(/[a-zA-Z]{2,}/g) ?? [];
  return words.length >= 4 ? [] : [`${file.path} does not open with a comment that says what it is for`];
}

/** The number of lines. */
export function lineCount(file: SourceFile): number {
  return file.text.split('\n').length - (file.text.endsWith('\n') ? 1 : 0);
}

/** A source file above the limit; tests may be longer. */
export function tooLong(file: SourceFile): string[] {
  if (file.path.startsWith('test/')) return [];
  const lines = lineCount(file);
  return lines > LIMIT_LINES ? [`${file.path} has ${lines} lines; the limit is ${LIMIT_LINES}`] : [];
}
