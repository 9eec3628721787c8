/**
 * Faults as plain data: what happens when, to whom and for how long. Schedules are lists of them, drawn from a
 * seed or written by hand, so that a failing one can be printed, replayed and made smaller. Applied by
 * `nemesis.ts`. Invariant: a fault says everything about itself; applying it draws nothing.
 */

export type FaultKind =
  /** The process ends at once; waits up to `durationMs` until the promise allows it. */
  | 'crash'
  /** A process starts at the address of one that crashed or left. */
  | 'restart'
  /** A member at a new address. */
  | 'join'
  | 'leave'
  /** The process stands still, as with SIGSTOP. */
  | 'pause'
  /** What arrives on the links waits until the end, in order. */
  | 'hold'
  /** What is sent or arrives on the links is swallowed. */
  | 'cut'
  /** `amount` ms more on the links. */
  | 'delay'
  /** Frames are dropped with probability `amount`. */
  | 'loss'
  /** Frames are overtaken with probability `amount`. */
  | 'reorder'
  /** Frames arrive twice with probability `amount`. */
  | 'duplicate'
  /** The wall clock of processes steps by `amount` ms. */
  | 'wall';

export interface Fault {
  /** Since the workload began. */
  readonly atMs: number;
  readonly kind: FaultKind;
  /**
   * Processes: `oldest`, `youngest`, `any:<n>`, `primary:<partition>`, `backup:<partition>`, `host:<name>`,
   * `leftover:<n>` (who still has something to merge), several
   * joined by `+`. Links: `link:<n>:<m>` (one direction), `into:<process>`, `outof:<process>`, `around:<process>` and
   * `all` between members; `client:<n>` between one client and all members; `pair:<from>:<to>` by the names of
   * hosts; `sides:<group>|<group>...` everything between different groups, `oneway:<group>><group>` one direction.
   * A group is processes and names of hosts, joined by `+`; `rest` stands for the members that no group names.
   * Numbers wrap around.
   */
  readonly scope: string;
  readonly durationMs: number;
  readonly amount?: number;
}

/** What became of a fault in a run. */
export interface AppliedFault {
  readonly fault: Fault;
  /** The hosts or links that it met. */
  readonly met: readonly string[];
  /** Virtual times; null when it was never applied. */
  readonly fromMs: number | null;
  toMs: number | null;
  /** Why it was not applied. */
  readonly skipped?: string;
}

export function formatFault({ fault, met, fromMs, toMs, skipped }: AppliedFault): string {
  const amount = fault.amount === undefined ? '' : ` ${fault.amount}`;
  const head = `+${fault.atMs.toFixed(0)} ms ${fault.kind}${amount} ${fault.scope}`;
  if (skipped !== undefined || fromMs === null)
    return `${head}: not applied (${skipped ?? 'the run was over'})`;
  const until = toMs === null || toMs === fromMs ? '' : ` to ${toMs.toFixed(0)}`;
  return `${head}: ${met.join(', ') || 'nobody'} at ${fromMs.toFixed(0)}${until}`;
}
