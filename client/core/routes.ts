/**
 * Where calls go. A route takes encoded messages to one member: the connection of a client, the connection between
 * members, or the embedded member itself. Routes come and go; calls on a route that ended are sent again.
 */
import type { Writer } from '../../src/base/bytes.js';
import type { GridError } from '../../src/base/errors.js';
import type { Address } from '../../src/wire/frame.js';

export interface Route {
  /** As `Link`: begin a message, write its body, end it. */
  begin(message: number, address: Address): Writer;
  end(startOffset: number): void;
  readonly writeOffset: number;
  /** Bytes that still wait to be sent: while there are some, silence of the other side means nothing. */
  readonly queuedBytes: number;
  /** When a part of a large answer last arrived: others may wait behind it. */
  readonly receivedMs: number;
  readonly isOpen: boolean;
  /** What is sent is done here, and in the same turn. */
  readonly isLocal: boolean;
}

export interface Routes {
  readonly partitionCount: number;
  /** Routes take messages for several partitions: no member forwards. */
  readonly fansOut: boolean;
  /** Number and lineage tag of the view that routing follows. */
  readonly view: number;
  readonly lineage: number;
  /** The way to the primary of a partition, or null when there is none now. */
  toPrimary(partition: number): Route | null;
  /** The way to the replica that answers reads soonest which may be behind, or null when there is none now. */
  toReplica(partition: number): Route | null;
  /** Whether calls of the structure are served with low latency (EL) when they ask for nothing. */
  isLatency(service: string, structure: string): boolean;
  /** Why there is no route: the kind of error that a call ends with, and its reason. */
  whyNoRoute(partition: number): GridError;
  /** A member knows a newer view than the one that routing follows. */
  refresh(view: number): void;
}
