/**
 * The options of a client: what `connect(options)` takes. The same rules as for members: strict, complete after
 * `clientConfig`, problems with path, reason and nearest right name.
 */
import { z } from 'zod';
import type { Serializer } from '../wire/values.js';
import { addressSchema } from './address.js';
import { nearCachesSchema } from './near-caches.js';
import { parseOptions } from './problems.js';

const serializerSchema = z.custom<Serializer>(
  (given) => {
    const { encode, decode } = Object(given) as Partial<Serializer>;
    return typeof encode === 'function' && typeof decode === 'function';
  },
  { message: 'expected an object with the functions encode(value) and decode(bytes)' },
);

const MAX_TIMEOUT_MS = 86_400_000;

export const clientSchema = z.strictObject({
  clusterName: z
    .string()
    .min(1)
    .max(64)
    .default('dev')
    .describe('Must be that of the members; others refuse the client.'),
  members: z
    .array(addressSchema)
    .min(1)
    .max(1_000)
    .describe('Addresses (host:port) of members; one that answers is enough, the client learns the others.'),
  connectTimeoutMs: z
    .int()
    .min(1)
    .max(MAX_TIMEOUT_MS)
    .default(10_000)
    .describe('After this time without any member, connect rejects and lists each address with its reason.'),
  timeoutMs: z
    .int()
    .min(1)
    .max(MAX_TIMEOUT_MS)
    .default(10_000)
    .describe('Deadline of a call, retries included, unless the call has its own.'),
  routing: z
    .enum(['all', 'single'])
    .default('all')
    .describe(
      'all: connects to every member and sends each call to the primary of its key. single: connects to one member, which forwards; for networks in which a client reaches one address only.',
    ),
  maxInFlightCalls: z
    .int()
    .min(1)
    .max(1_048_576)
    .default(65_536)
    .describe('Calls that wait for an answer at a time; one more is refused with ERR_OVERLOAD.'),
  nearCaches: nearCachesSchema,
  logLevel: z
    .enum(['debug', 'info', 'warn', 'error', 'silent'])
    .default('warn')
    .describe('Log lines below this level are dropped. Logs are JSON lines on stderr.'),
  serializer: serializerSchema
    .optional()
    .describe('Own serialization of values (code only); every client of a structure must use the same.'),
});

/** What `connect` takes: only `members` is needed. */
export type ClientOptions = z.input<typeof clientSchema>;

/** Complete and valid options of a client. */
export type ClientConfig = z.output<typeof clientSchema>;

/** Checks the options and fills in the defaults; throws one `ConfigError` that lists every problem. */
export function clientConfig(options: ClientOptions): ClientConfig {
  return parseOptions(clientSchema, options);
}
