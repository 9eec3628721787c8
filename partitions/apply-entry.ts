/** How a position of the stream takes effect on a replica that is not the primary. */
import { Reader } from '../src/base/bytes.js';
import type { HybridClock } from '../src/base/hlc.js';
import { COMPOSITE, decodeParts, type EntryBody } from './entry-body.js';
import { EMPTY_BYTES } from './limits.js';
import { addMergedCalls } from './merge-journal/merged-calls.js';
import type { Addition } from './released-calls.js';
import type { PartitionReplica } from './replica.js';
import type { Service } from './service.js';

/** The services of this member by number. */
export type ServiceLookup = (id: number) => Service | undefined;

/** Number of a structure in the entry that this member does not know; 0 when it knows all. */
export function unknownService({ serviceId, delta }: EntryBody, services: ServiceLookup): number {
  if (serviceId === 0) return 0;
  if (serviceId !== COMPOSITE) return services(serviceId) === undefined ? serviceId : 0;
  const unknown = decodeParts(delta).find((part) => part.serviceId !== 0 && !services(part.serviceId));
  return unknown?.serviceId ?? 0;
}

/** Applies one entry of the stream to a replica: the same on backups, in levelling and in repair. */
export function applyEntry(
  replica: PartitionReplica,
  seq: number,
  entry: EntryBody,
  services: ServiceLookup,
  hlc: HybridClock,
  nowMs: number,
): void {
  hlc.observe(entry.hlcMs, entry.hlcCounter);
  const { serviceId, structure, delta } = entry;
  const service = serviceId === COMPOSITE ? undefined : services(serviceId);
  if (serviceId === COMPOSITE) applyParts(replica, seq, delta, services, nowMs);
  else if (service !== undefined) {
    replica.state(service, structure).apply(new Reader(delta), seq);
    if (entry.client === 0) replica.detachEmpty(service.id, structure);
  }
  if (entry.client !== 0) {
    const { syncBackups, isVoid, isConsistent } = entry;
    const reply = entry.reply.length === 0 ? EMPTY_BYTES : Buffer.from(entry.reply);
    const session = replica.sessions.open(entry.client, nowMs);
    session.release(entry.below);
    const addition = additionOf(service, structure, delta);
    session.add(entry.sequence, { reply, seq, syncBackups, isVoid, isConsistent, addition });
  }
  replica.seq = seq;
}

/** What is remembered of a call with this change, so that a merge can leave it out. */
export function additionOf(
  service: Service | undefined,
  structure: string,
  delta: Uint8Array,
): Addition | null {
  const head = service?.additionOf?.(delta) ?? null;
  return service === undefined || head === null ? null : { serviceId: service.id, structure, delta: head };
}

/** A step of a merge: what it changes in structures, windows and journal takes effect at one position. */
function applyParts(
  replica: PartitionReplica,
  seq: number,
  delta: Uint8Array,
  services: ServiceLookup,
  nowMs: number,
): void {
  for (const { serviceId, structure, delta: part } of decodeParts(delta)) {
    const service = services(serviceId);
    if (service !== undefined) replica.state(service, structure).apply(new Reader(part), seq);
    else if (serviceId === 0) addMergedCalls(replica.sessions, new Reader(part), seq, nowMs);
  }
}
