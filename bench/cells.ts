/**
 * What is measured: the systems, the cells of the table, and the data that all systems hold. Shared by the process
 * that starts everything and by the one that measures; no system is named anywhere else.
 */

export interface SystemInfo {
  readonly name: string;
  readonly label: string;
  readonly note: string;
}

/** In the order of the table. `redis` is what the others are compared with. */
export const SYSTEMS: readonly SystemInfo[] = [
  { name: 'member', label: 'elsegrid, 1 member', note: 'one member, no backups' },
  { name: 'members', label: 'elsegrid, 3 members', note: 'three members, one sync backup' },
  { name: 'redis', label: 'Redis', note: 'ioredis with its default settings, no persistence' },
  { name: 'redis-auto', label: 'Redis, autopipelining', note: 'the same with enableAutoPipelining' },
  { name: 'echo', label: 'ws echo', note: 'bare WebSocket server with the same frames and headers' },
];

export const OPERATIONS = ['get', 'set'] as const;
export type Operation = (typeof OPERATIONS)[number];

export interface Cell {
  readonly operation: Operation;
  readonly inFlight: number;
  readonly valueBytes: number;
}

export function cellName({ operation, inFlight, valueBytes }: Cell): string {
  return `${operation}, ${valueBytes} B, ${inFlight} in flight`;
}

/** Keys of each value size. */
export const KEYS = 10_000;

/** The keys of one value size; every system has all of them. */
export function keysOf(valueBytes: number): string[] {
  return Array.from({ length: KEYS }, (_, i) => `bench:${valueBytes}:${String(i).padStart(6, '0')}`);
}

/** The value of key `i`: its number in the first four bytes, so that a mixed-up answer shows. */
export function benchValue(i: number, valueBytes: number): Buffer {
  const value = Buffer.alloc(valueBytes, (i * 31) & 0xff);
  value.writeUInt32LE(i, 0);
  return value;
}

/** The echo sends a batch of this size at once, as links do. */
export const ECHO_BATCH_BYTES = 16 * 1024;

/** Where the client finds the systems that run. */
export interface Addresses {
  readonly member?: string;
  readonly members?: readonly string[];
  readonly redisPort?: number;
  readonly echo?: string;
}

/** The whole task of the client process. */
export interface Task {
  readonly systems: readonly string[];
  readonly addresses: Addresses;
  readonly cells: readonly Cell[];
  readonly rounds: number;
  readonly seconds: number;
  readonly warmUpSeconds: number;
}

/** One system in one cell in one round. */
export interface Sample {
  readonly system: string;
  readonly cell: Cell;
  readonly round: number;
  readonly opsPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

export type FromClient =
  | { readonly type: 'ready' }
  | { readonly type: 'progress'; readonly text: string }
  | { readonly type: 'sample'; readonly sample: Sample }
  | { readonly type: 'done' };
