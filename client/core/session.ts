/**
 * What a session has seen, so that its reads on any replica show its own writes and never go back in time: by partition
 * the latest position of an answer. Replicas that are not as far refuse. A token of it is a text with which another
 * process goes on. Made by `grid.session()`; one without a name is kept by `calls.ts`.
 */
import { murmur3 } from '../../partitions/hash.js';
import { isSameEpoch, type Place, readPlace, writePlace } from '../../partitions/history.js';
import type { SeenPlaces } from '../../partitions/invoker.js';
import { Reader, Writer } from '../../src/base/bytes.js';
import { SessionTokenError } from '../../src/base/errors.js';

const TOKEN_VERSION = 1;
const MAX_CLUSTER_NAME = 256;
/** Of a token with a place in each of 65,535 partitions. */
const MAX_TOKEN_LENGTH = 2 * 1024 * 1024;

/** Places by partition; the later of two of one history stays. */
export class Seen implements SeenPlaces {
  readonly places = new Map<number, Place>();

  lowest(partition: number): Place | null {
    return this.places.get(partition) ?? null;
  }

  saw(partition: number, place: Place, held: Place | null): void {
    const known = this.places.get(partition);
    if (place.seq > 0 && (known === undefined || isBeyond(known, place, held)))
      this.places.set(partition, place);
  }

  forget(partition: number): void {
    this.places.delete(partition);
  }
}

/**
 * Whether a place may stand for what was known. One of another primary only if its answer was held against just that: answers
 * that were asked for earlier and come later may be of a history without it, and that would never be told.
 */
function isBeyond(known: Place, place: Place, held: Place | null): boolean {
  if (isSameEpoch(known, place)) return place.seq > known.seq;
  if (held === null || place.seq < known.seq) return false;
  return isSameEpoch(held, known) && held.seq >= known.seq;
}

/** The cluster that a session belongs to. */
export interface SessionHome {
  readonly clusterName: string;
  readonly partitionCount: number;
}

/** A session that calls take part in through `with({ session })`. */
export class Session extends Seen {
  readonly #home: () => SessionHome;

  private constructor(home: () => SessionHome) {
    super();
    this.#home = home;
  }

  /** A new session, or the one of a token. Throws a `SessionTokenError` for what is no token of this cluster. */
  static of(home: () => SessionHome, token?: string): Session {
    const session = new Session(home);
    if (token !== undefined)
      for (const [partition, place] of read(token, home())) session.places.set(partition, place);
    return session;
  }

  /** A text for `grid.session(token)`, here or in another process; below 8 KiB for 271 partitions. */
  token(): string {
    const { clusterName, partitionCount } = this.#home();
    const body = new Writer(1024);
    body.string(clusterName);
    body.u16(partitionCount);
    body.u16(this.places.size);
    for (const [partition, place] of this.places) {
      body.u16(partition);
      writePlace(body, place);
    }
    const bytes = body.toBytes();
    const out = new Writer(bytes.length + 5);
    out.u8(TOKEN_VERSION);
    out.u32(murmur3(bytes));
    out.raw(bytes);
    return out.toBytes().toString('base64url');
  }
}

function read(token: string, home: SessionHome): Map<number, Place> {
  if (typeof token !== 'string' || token.length > MAX_TOKEN_LENGTH || !/^[\w-]+$/.test(token))
    throw new SessionTokenError('the session token is not a text that session.token() gave');
  const bytes = Buffer.from(token, 'base64url');
  const isWhole =
    bytes.length > 5 && bytes[0] === TOKEN_VERSION && bytes.readUInt32LE(1) === murmur3(bytes.subarray(5));
  if (!isWhole)
    throw new SessionTokenError('the session token is damaged, cut off, or of another version of elsegrid');
  try {
    return readBody(new Reader(bytes.subarray(5)), home);
  } catch (error) {
    if (error instanceof SessionTokenError) throw error;
    throw new SessionTokenError('the session token is damaged', { cause: error });
  }
}

function readBody(reader: Reader, home: SessionHome): Map<number, Place> {
  const clusterName = reader.string(MAX_CLUSTER_NAME);
  const partitionCount = reader.u16();
  if (clusterName !== home.clusterName || partitionCount !== home.partitionCount) {
    const other = `'${clusterName}' with ${partitionCount} partitions`;
    throw new SessionTokenError(
      `the session token is of the cluster ${other}; this is '${home.clusterName}' with ${home.partitionCount}`,
    );
  }
  const places = new Map<number, Place>();
  for (let left = reader.u16(); left > 0; left--) {
    const partition = reader.u16();
    if (partition >= partitionCount) throw new SessionTokenError('the session token is damaged');
    places.set(partition, readPlace(reader));
  }
  reader.finish();
  return places;
}
