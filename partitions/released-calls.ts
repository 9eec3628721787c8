/**
 * Calls that their clients have released, as far as a merge needs them: the windows of sessions have let go of them. A
 * client that tried a call at a former primary first, and got its answer here, releases it before what that primary did is
 * merged, perhaps by way of a third history. Invariant: bounded, the latest ones stay. Owned by the windows of a partition
 * (`sessions.ts`); merges ask.
 */
import type { Reader, Writer } from '../src/base/bytes.js';
import { type Place, readPlace, writePlace } from './history.js';
import { MAX_STRUCTURE_NAME_BYTES } from './limits.js';

/** What a merge needs of a call that added to something to leave it out, also when log and tail have let go of it. */
export interface Addition {
  readonly serviceId: number;
  readonly structure: string;
  /** The head of its delta; see `Service.additionOf`. */
  readonly delta: Uint8Array;
}

/** A released call that added to something. */
export interface ReleasedAddition {
  readonly client: number;
  readonly sequence: number;
  readonly seq: number;
  readonly syncBackups: number;
  readonly addition: Addition;
}

const MAX_ADDITION_BYTES = 256;
const ADDS = 4;
/** Released calls that one partition remembers by number, for merges. */
const MAX_RELEASED = 2048;

/**
 * The latest calls that were applied or declared void here and that their clients have released. A client that tried
 * a call at a former primary first, and got its answer here, releases it before what that primary did is merged.
 */
export class ReleasedCalls {
  /** Client and sequence in turn; a ring when it is full. */
  readonly #numbers: number[] = [];
  /** At the same places, half as far: what the call added. */
  readonly #added: (ReleasedAddition | null)[] = [];
  #next = 0;

  add(client: number, sequence: number, added: ReleasedAddition | null): void {
    this.#numbers[this.#next] = client;
    this.#numbers[this.#next + 1] = sequence;
    this.#added[this.#next / 2] = added;
    this.#next = (this.#next + 2) % (2 * MAX_RELEASED);
  }

  /** Those that added to something, in no order. */
  additions(): ReleasedAddition[] {
    return this.#added.filter((added) => added !== null);
  }

  /** What the call added; null when it added nothing, undefined when it is not remembered. */
  find(client: number, sequence: number): Addition | null | undefined {
    const numbers = this.#numbers;
    let found: null | undefined;
    for (let i = 0; i < numbers.length; i += 2) {
      if (numbers[i + 1] !== sequence || numbers[i] !== client) continue;
      const added = this.#added[i / 2] ?? null;
      if (added !== null) return added.addition;
      // A call that was copied and then released here stands twice.
      found = null;
    }
    return found;
  }

  get size(): number {
    return this.#numbers.length / 2;
  }

  write(out: Writer): void {
    this.#added.forEach((added, i) => {
      out.f64(this.#numbers[2 * i] as number);
      out.f64(this.#numbers[2 * i + 1] as number);
      out.u8(added === null ? 0 : ADDS);
      if (added === null) return;
      out.f64(added.seq);
      out.u8(added.syncBackups);
      writeAddition(out, added.addition);
    });
  }

  /** Calls of a copy; those that are here already are left as they are. */
  paste(reader: Reader, count: number): void {
    const known = new Set<string>();
    for (let i = 0; i < this.#numbers.length; i += 2) known.add(this.#nameAt(i));
    for (let i = 0; i < count; i++) {
      const client = reader.f64();
      const sequence = reader.f64();
      // Fields are read in the order in which they stand here.
      const added =
        reader.u8() === 0
          ? null
          : { client, sequence, seq: reader.f64(), syncBackups: reader.u8(), addition: readAddition(reader) };
      const name = nameOf(client, sequence);
      if (known.has(name)) continue;
      known.delete(this.#nameAt(this.#next));
      known.add(name);
      this.add(client, sequence, added);
    }
  }

  #nameAt(place: number): string {
    return nameOf(this.#numbers[place] as number, this.#numbers[place + 1] as number);
  }

  clear(): void {
    this.#added.length = 0;
    this.#numbers.length = 0;
    this.#next = 0;
  }
}

/** The same of calls that came by merges, each with what it added. */
const MAX_MERGED = 512;

/** A call that came by a merge: what it added, and where it was applied. */
export interface MergedAddition extends ReleasedAddition {
  readonly origin: Place;
}

/**
 * The latest calls that came by merges and added to something. Another history may have applied such a call too, and have
 * answered it: what came here of it must not count there, should this history be merged into that one.
 */
export class ReleasedElsewhere {
  /** In the order in which they came. */
  readonly #calls = new Map<string, MergedAddition>();

  get size(): number {
    return this.#calls.size;
  }

  add(call: MergedAddition): void {
    const name = nameOf(call.client, call.sequence);
    if (this.#calls.has(name)) return;
    for (const first of this.#calls.keys()) {
      if (this.#calls.size < MAX_MERGED) break;
      this.#calls.delete(first);
    }
    this.#calls.set(name, call);
  }

  find(client: number, sequence: number): MergedAddition | undefined {
    return this.#calls.size === 0 ? undefined : this.#calls.get(nameOf(client, sequence));
  }

  all(): MergedAddition[] {
    return [...this.#calls.values()];
  }

  write(out: Writer): void {
    for (const { client, sequence, seq, syncBackups, origin, addition } of this.#calls.values()) {
      out.f64(client);
      out.f64(sequence);
      out.f64(seq);
      out.u8(syncBackups);
      writePlace(out, origin);
      writeAddition(out, addition);
    }
  }

  /** Calls of a copy; those that are here already are left as they are. */
  paste(reader: Reader, count: number): void {
    for (let i = 0; i < count; i++) {
      // Fields are read in the order in which they stand here.
      this.add({
        client: reader.f64(),
        sequence: reader.f64(),
        seq: reader.f64(),
        syncBackups: reader.u8(),
        origin: readPlace(reader),
        addition: readAddition(reader),
      });
    }
  }

  clear(): void {
    this.#calls.clear();
  }
}

function nameOf(client: number, sequence: number): string {
  return `${client}/${sequence}`;
}

export function writeAddition(out: Writer, { serviceId, structure, delta }: Addition): void {
  out.u8(serviceId);
  out.string(structure);
  out.bytes(delta);
}

export function readAddition(reader: Reader): Addition {
  // Fields are read in the order in which they stand here.
  return {
    serviceId: reader.u8(),
    structure: reader.string(MAX_STRUCTURE_NAME_BYTES),
    delta: new Uint8Array(reader.blob(MAX_ADDITION_BYTES)),
  };
}
