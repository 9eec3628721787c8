/** What the calls of a session need of their client or member, which builds them. */
import type { NearValues } from '../../partitions/near.js';
import type { Clock, Random } from '../../src/base/ports.js';
import type { ValueCodec } from '../../src/wire/values.js';
import type { Routes } from './routes.js';

export interface CallsOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly routes: Routes;
  readonly codec: ValueCodec;
  readonly timeoutMs: number;
  readonly maxInFlightCalls: number;
  /** Default: no map has one. */
  readonly nearCache?: (map: string) => NearValues | null;
  /** Only for tests: a retry goes out under a new call id. */
  readonly freshRetryIds?: boolean;
}
