/**
 * The child's side of a process of the benchmark: it lives as long as the process that started it. A child leaves
 * Ctrl-C to its parent; when the parent ends, in whatever way, the channel to it closes and the child ends too.
 */

/** To be called first. `end` is what has to be done before the process ends; it must not wait. */
export function liveWithParent(end: () => void = () => {}): void {
  process.on('SIGINT', () => {});
  process.on('disconnect', () => {
    end();
    process.exit(0);
  });
}

export function tell(message: unknown): void {
  process.send?.(message);
}

/** The argument that the parent gave, as JSON. */
export function task<T>(): T {
  return JSON.parse(process.argv[2] ?? 'null') as T;
}

/** Runs a child's work; a failure is told to the parent and ends the child. */
export function run(work: () => Promise<void>): void {
  work().catch((error: unknown) => {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    if (process.send === undefined) process.exit(1);
    process.send({ type: 'failed', text }, () => process.exit(1));
  });
}
