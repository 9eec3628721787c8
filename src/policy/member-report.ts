/**
 * Reads what another member says about itself. It comes over the network, so nothing of it is taken on trust:
 * a report of another form is a `ProtocolError`, never a crash of whoever shows it.
 */
import { z } from 'zod';
import { MAX_BACKUPS, MAX_PARTITIONS } from '../cluster/view.js';
import { readJson } from './json.js';
import type { MemberReport } from './status.js';

const count = z.number().int().min(0);
const memberId = z.string().max(64);

const reportSchema = z.object({
  lineage: memberId,
  view: count,
  parent: z.nullable(z.object({ lineage: memberId, number: count })),
  missing: z.array(z.object({ id: memberId, address: z.string().max(256) })).max(1_000),
  ordered: z.boolean(),
  leaseMs: z.nullable(z.number().min(0)),
  leftovers: count,
  leftoverBytes: count,
  backups: z
    .array(
      z.object({
        place: z.int().min(1).max(MAX_BACKUPS),
        backups: count,
        behind: count,
        unknown: count,
        positions: count,
        bytes: count,
        ageMs: z.nullable(count),
      }),
    )
    .max(MAX_BACKUPS),
  divergent: z.array(count).max(MAX_PARTITIONS),
  antiEntropy: z.object({ compared: count, differing: count, repaired: count, bytes: count }),
  entries: count,
  sizeBytes: count,
  owed: count.default(0),
  hears: z.array(memberId).max(1_000),
  migrations: z
    .array(z.object({ partition: count, to: memberId, copiedBytes: count, totalBytes: z.nullable(count) }))
    .max(20_000),
});

/** The report in a JSON text; throws a `ProtocolError`. */
export function readMemberReport(json: string): MemberReport {
  return readJson(reportSchema, json, 'a status report');
}
