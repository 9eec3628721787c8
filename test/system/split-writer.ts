/**
 * A client as a process of its own, which writes all the time and tells its parent how each write ended. Started by
 * `split-run.ts`, once for each side of a split; it ends with its parent. Each key of its own is written by nobody
 * else, one write at a time, with rising numbers. While it is told to, it also writes keys that all writers share,
 * and keys of its own that it never writes otherwise.
 */
import process from 'node:process';
import { type Client, connect, GridError } from '../../src/index.js';

/** Written at the same time, by one loop each. */
const LOOPS = 8;
const KEYS_PER_LOOP = 12;
/** Those that are written during a split only; as many again are shared with the other side. */
const SPLIT_LOOPS = 4;
const SPLIT_KEYS = 40;
const PAUSE_MS = 20;
const REPORT_MS = 100;
/** Of a call: short, so that refusals are seen while they last. */
const TIMEOUT_MS = 1_500;

export type WriterOrder =
  | { readonly type: 'start'; readonly name: string; readonly members: string[]; readonly maps: string[] }
  | { readonly type: 'share'; readonly map: string; readonly on: boolean }
  | { readonly type: 'stop' };

export interface WriteRecord {
  readonly map: string;
  readonly key: string;
  /** The value is `name:n`. */
  readonly n: number;
  readonly value: string;
  readonly outcome: 'acknowledged' | 'refused' | 'unknown';
  /** Code of the error, and that of its cause: `ERR_TIMEOUT/ERR_NO_LEASE`. */
  readonly error: string;
  /** Epoch ms with fractions, of a clock that never goes back. */
  readonly startMs: number;
  readonly endMs: number;
}

export type WriterNews =
  | { readonly type: 'connected' }
  | { readonly type: 'records'; readonly records: WriteRecord[] }
  | { readonly type: 'stopped' };

/** Comparable between processes of one machine. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

class Writing {
  readonly #client: Client;
  readonly #name: string;
  readonly #numbers = new Map<string, number>();
  #records: WriteRecord[] = [];
  #shared: string | null = null;
  #goesOn = true;

  constructor(client: Client, name: string) {
    this.#client = client;
    this.#name = name;
  }

  async run(maps: readonly string[]): Promise<void> {
    const timer = setInterval(() => this.#report(), REPORT_MS);
    const loops = maps.flatMap((map) =>
      Array.from({ length: LOOPS }, (_, loop) => this.#loop(map, (i) => this.#ownKey(loop, i))),
    );
    const more = Array.from({ length: SPLIT_LOOPS }, (_, loop) => this.#splitLoop(loop));
    await Promise.all([...loops, ...more]);
    clearInterval(timer);
    this.#report();
  }

  share(map: string | null): void {
    this.#shared = map;
  }

  stop(): void {
    this.#goesOn = false;
  }

  #ownKey(loop: number, i: number): string {
    return `${this.#name}-${loop}-${i % KEYS_PER_LOOP}`;
  }

  async #loop(map: string, keyOf: (i: number) => string): Promise<void> {
    for (let i = 0; this.#goesOn; i++) {
      await this.#write(map, keyOf(i));
      await sleep(PAUSE_MS);
    }
  }

  /** Keys that are written in this time only: by all writers, and by this one alone. */
  async #splitLoop(loop: number): Promise<void> {
    for (let i = 0; this.#goesOn; i++) {
      const number = loop + ((SPLIT_LOOPS * (i >> 1)) % SPLIT_KEYS);
      const key = i % 2 === 0 ? `shared-${number}` : `${this.#name}-solo-${number}`;
      if (this.#shared !== null) await this.#write(this.#shared, key);
      await sleep(PAUSE_MS);
    }
  }

  async #write(map: string, key: string): Promise<void> {
    const n = (this.#numbers.get(`${map}/${key}`) ?? 0) + 1;
    this.#numbers.set(`${map}/${key}`, n);
    const value = `${this.#name}:${n}`;
    const startMs = nowMs();
    let [outcome, error]: [WriteRecord['outcome'], string] = ['acknowledged', ''];
    try {
      await this.#client.getMap<string, string>(map).set(key, value);
    } catch (thrown) {
      outcome = thrown instanceof GridError && thrown.definite ? 'refused' : 'unknown';
      error = describe(thrown);
    }
    this.#records.push({ map, key, n, value, outcome, error, startMs, endMs: nowMs() });
  }

  #report(): void {
    if (this.#records.length === 0) return;
    tell({ type: 'records', records: this.#records });
    this.#records = [];
  }
}

function describe(error: unknown): string {
  if (!(error instanceof GridError)) return `no GridError: ${String(error)}`;
  return error.cause instanceof GridError ? `${error.code}/${error.cause.code}` : error.code;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

function tell(news: WriterNews): void {
  process.send?.(news);
}

async function run({ name, members, maps }: WriterOrder & { type: 'start' }): Promise<void> {
  const client = await connect({
    members,
    timeoutMs: TIMEOUT_MS,
    connectTimeoutMs: 20_000,
    logLevel: 'error',
  });
  const writing = new Writing(client, name);
  process.on('message', (order: WriterOrder) => {
    if (order.type === 'share') writing.share(order.on ? order.map : null);
    if (order.type === 'stop') writing.stop();
  });
  tell({ type: 'connected' });
  await writing.run(maps);
  tell({ type: 'stopped' });
  await client.shutdown();
  process.disconnect();
}

process.once('message', (order: WriterOrder) => {
  if (order.type === 'start') void run(order);
});
process.once('disconnect', () => process.exit(0));
