/**
 * The history of a run: what each client called and what it was told, one operation a line in
 * `history.jsonl`. Workloads write it, every checker reads it. Invariants: all times are nanoseconds of one
 * monotonic clock in the driver; `ret` is null exactly when the outcome is unknown (`info`).
 */

export interface HistoryOperation {
  /** The client; an indeterminate operation does not end its client. */
  readonly c: number;
  /** The key; each key is checked alone. */
  readonly k: string;
  /** What was called, in the words of the model: read, write, cas, add ... */
  readonly f: string;
  /** The argument. */
  readonly v?: unknown;
  /** Expected and new value of a cas. */
  readonly from?: unknown;
  readonly to?: unknown;
  readonly call: number;
  /** Null when no answer came, or one that leaves the outcome open. */
  readonly ret: number | null;
  /** ok: answered. fail: certainly without effect. info: it may have had effect, or may yet have. */
  readonly type: 'ok' | 'fail' | 'info';
  /** The answer; null is the absent value. */
  readonly out?: unknown;
}

const KNOWN_FIELDS = new Set(['c', 'k', 'f', 'v', 'from', 'to', 'call', 'ret', 'type', 'out']);

/** One line of `history.jsonl`, without the line end. A bigint is written as a string of digits. */
export function formatOperation(operation: HistoryOperation): string {
  return JSON.stringify(operation, (_name, value: unknown) =>
    typeof value === 'bigint' ? value.toString() : value,
  );
}

/** A whole `history.jsonl`. */
export function formatHistory(operations: Iterable<HistoryOperation>): string {
  let text = '';
  for (const operation of operations) text += `${formatOperation(operation)}\n`;
  return text;
}

/** Reads a `history.jsonl`; throws an Error that names the line of the first operation that makes no sense. */
export function parseHistory(text: string): HistoryOperation[] {
  const operations: HistoryOperation[] = [];
  text.split('\n').forEach((line, index) => {
    if (line.trim() === '') return;
    const complain = (what: string): never => {
      throw new Error(`history line ${index + 1}: ${what}`);
    };
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (error) {
      complain((error as Error).message);
    }
    const problem = describeProblem(value);
    if (problem !== undefined) complain(problem);
    operations.push(value as HistoryOperation);
  });
  return operations;
}

/** Why `value` is not an operation, or undefined when it is one. */
export function describeProblem(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return 'not an object';
  const unknownField = Object.keys(value).find((name) => !KNOWN_FIELDS.has(name));
  if (unknownField !== undefined) return `unknown field ${JSON.stringify(unknownField)}`;
  const { c, k, f, call, ret, type } = value as Record<string, unknown>;
  if (typeof c !== 'number' || !Number.isInteger(c)) return 'c (client) is not a whole number';
  if (typeof k !== 'string') return 'k (key) is not a string';
  if (typeof f !== 'string') return 'f (operation) is not a string';
  if (type !== 'ok' && type !== 'fail' && type !== 'info') return 'type is not ok, fail or info';
  if (typeof call !== 'number' || !Number.isFinite(call)) return 'call is not a number';
  if (type === 'info') return ret === null ? undefined : 'ret of an info operation is not null';
  if (typeof ret !== 'number' || !Number.isFinite(ret)) return `ret of an ${type} operation is not a number`;
  return ret < call ? 'ret is before call' : undefined;
}
