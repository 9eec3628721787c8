/**
 * Who may talk to whom: checks the first message of a connection, the same on members for members and clients.
 * Pure; every refusal says what differs and what to do.
 */
import { ERROR_ROWS } from '../base/errors.js';
import type { BodyOf } from './message.js';
import type { hello, refusal, welcome } from './messages.js';
import { PROTOCOL_VERSION, PROTOCOL_VERSION_MIN } from './version.js';

export interface Identity {
  readonly clusterName: string;
  readonly id: string;
  /** Advertised address. */
  readonly address: string;
  readonly partitionCount: number;
}

export type Verdict =
  | { readonly welcome: BodyOf<typeof welcome> }
  | { readonly refusal: BodyOf<typeof refusal> };

export function judge(own: Identity, other: BodyOf<typeof hello>): Verdict {
  const refuse = (message: string): Verdict => ({
    refusal: { error: ERROR_ROWS.HandshakeRefused.wire, message },
  });
  if (other.clusterName !== own.clusterName) {
    return refuse(
      `this member belongs to cluster '${own.clusterName}', not to '${other.clusterName.slice(0, 64)}'; set clusterName to the same value`,
    );
  }
  const version = Math.min(other.versionMax, PROTOCOL_VERSION);
  if (version < other.versionMin || version < PROTOCOL_VERSION_MIN) {
    const spoken = `${PROTOCOL_VERSION_MIN} to ${PROTOCOL_VERSION}`;
    return refuse(
      `protocol versions differ: this member speaks ${spoken}, you speak ${other.versionMin} to ${other.versionMax}; install versions of elsegrid that overlap`,
    );
  }
  if (other.role === 'member' && other.partitionCount !== own.partitionCount) {
    return refuse(
      `this cluster has ${own.partitionCount} partitions, you have ${other.partitionCount}; set partitionCount to the same value`,
    );
  }
  const { id, address, partitionCount } = own;
  return { welcome: { version, id, address, partitionCount } };
}
