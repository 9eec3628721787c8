/** How a position of the stream takes effect on a replica that is not the primary. */
import { Reader } from '../src/base/bytes.js';
import type { HybridClock } from '../src/base/hlc.js';
import type { EntryBody } from './entry-body.js';
import { EMPTY_BYTES } from './limits.js';
import type { PartitionReplica } from './replica.js';
import type { Service } from './service.js';

/** Applies one entry of the stream to a replica: the same on backups, in levelling and in repair. */
export function applyEntry(
  replica: PartitionReplica,
  seq: number,
  entry: EntryBody,
  service: Service | undefined,
  hlc: HybridClock,
  nowMs: number,
): void {
  hlc.observe(entry.hlcMs, entry.hlcCounter);
  if (service !== undefined) {
    replica.state(service, entry.structure).apply(new Reader(entry.delta), seq);
    if (entry.client === 0) replica.detachEmpty(service.id, entry.structure);
  }
  if (entry.client !== 0) {
    const { syncBackups, isVoid } = entry;
    const reply = entry.reply.length === 0 ? EMPTY_BYTES : Buffer.from(entry.reply);
    const session = replica.sessions.open(entry.client, nowMs);
    session.release(entry.below);
    session.add(entry.sequence, { reply, seq, syncBackups, isVoid });
  }
  replica.seq = seq;
}
