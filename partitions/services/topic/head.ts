/**
 * What stands in front of the messages of one publish: who published them, and when. It is the key of their events, so
 * that it travels to listeners as it is. Written by the state, read by proxies.
 */
import { Reader, Writer } from '../../../src/base/bytes.js';

/** Two numbers. */
export const HEAD_BYTES = 16;

export interface MessageHead {
  /** Number of the session that published. */
  readonly client: number;
  /** Wall clock of the primary. */
  readonly publishedMs: number;
}

export function headBytes({ client, publishedMs }: MessageHead): Uint8Array {
  const out = new Writer(HEAD_BYTES);
  out.f64(client);
  out.f64(publishedMs);
  return out.toBytes();
}

export function readHead(bytes: Uint8Array): MessageHead {
  const input = new Reader(bytes);
  // Fields are read in the order in which they stand here.
  return { client: input.f64(), publishedMs: input.f64() };
}

/** The name of a publisher for people: the same for all that one client or embedded member publishes. */
export function publisherName(client: number): string {
  return client.toString(16).padStart(14, '0');
}
