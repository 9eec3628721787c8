/**
 * What a person may order a cluster to do, and what a member answers. Orders come over the network, so their form and
 * size are checked here, on both sides; whether an order can be carried out is the member's to say.
 */
import { z } from 'zod';
import { MAX_MEMBERS, MAX_PARTITIONS } from '../cluster/view.js';
import { readJson } from './json.js';
import { PRESET_NAMES, type PresetName } from './presets.js';

export type AdminCommand =
  /** Makes the cluster one that was founded by order: consistent structures are served from then on. */
  | { readonly kind: 'found' }
  /**
   * Goes on without a majority of the last view: `dead` are the members of it that will never come back, by UUID or by
   * address.
   */
  | { readonly kind: 'recover'; readonly dead: readonly string[] }
  /** Lets partitions start empty of which no synced replica is left; an empty list means all such. */
  | { readonly kind: 'acceptLoss'; readonly partitions: readonly number[] }
  /**
   * Gives structures another preset: those of a name or of a configured pattern of a service, or, when both are null, the
   * grid and everything in it. Answered when the new promise holds everywhere, or after `withinMs` with what is missing.
   */
  | {
      readonly kind: 'setConsistency';
      readonly service: string | null;
      readonly pattern: string | null;
      readonly preset: PresetName;
      readonly withinMs: number;
    };

export interface AdminReply {
  /** The order was carried out, or there was nothing to do. */
  readonly ok: boolean;
  /** A sentence for people: what was done, or why not. */
  readonly text: string;
  /** The same for programs; plain JSON data, by names that depend on the order. */
  readonly details: Readonly<Record<string, unknown>>;
}

/** Of the name of a structure, or a pattern, in UTF-8. */
export const MAX_PATTERN_BYTES = 240;
/** Nobody waits longer for an order. */
const MAX_WITHIN_MS = 3_600_000;

/** A UUID, or the `host:port` of a member that the asker does not know by its UUID any more. */
const memberName = z.string().min(1).max(256);

const commandSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('found') }),
  z.strictObject({ kind: z.literal('recover'), dead: z.array(memberName).min(1).max(MAX_MEMBERS) }),
  z.strictObject({
    kind: z.literal('acceptLoss'),
    partitions: z
      .array(
        z
          .int()
          .min(0)
          .max(MAX_PARTITIONS - 1),
      )
      .max(MAX_PARTITIONS),
  }),
  z
    .strictObject({
      kind: z.literal('setConsistency'),
      service: z.string().min(1).max(64).nullable(),
      pattern: z
        .string()
        .min(1)
        .refine((name) => Buffer.byteLength(name, 'utf8') <= MAX_PATTERN_BYTES)
        .nullable(),
      preset: z.enum(PRESET_NAMES),
      withinMs: z.number().min(1).max(MAX_WITHIN_MS),
    })
    .refine(({ service, pattern }) => (service === null) === (pattern === null)),
]);

const replySchema = z.object({
  ok: z.boolean(),
  text: z.string().max(65_536),
  details: z.record(z.string().max(64), z.unknown()).default({}),
});

/** Before it is sent: throws a `TypeError` that names the orders there are. */
export function checkAdminCommand(command: unknown): void {
  const result = commandSchema.safeParse(command);
  if (result.success) return;
  const [issue] = result.error.issues;
  const where = issue?.path.join('.') || 'form';
  throw new TypeError(
    `an order with a wrong ${where}; orders are { kind: 'found' }, { kind: 'recover', dead: [id or host:port, ...] }, ` +
      `{ kind: 'acceptLoss', partitions: [number, ...] } and ` +
      `{ kind: 'setConsistency', service, pattern, preset, withinMs }`,
  );
}

/** The order in a JSON text; throws a `ProtocolError`. */
export function readAdminCommand(json: string): AdminCommand {
  return readJson(commandSchema, json, 'an order');
}

/** The answer in a JSON text; throws a `ProtocolError`. */
export function readAdminReply(json: string): AdminReply {
  return readJson(replySchema, json, 'an answer to an order');
}
