/** How the core reaches the stores that users keep structures in. Implemented by `src/member/map-stores.ts`. */
import type { Filling, Trouble } from './service.js';

/** What a store gave for a key: its value, null for none, or why there is no answer. */
export type Found = { readonly value: Uint8Array | null } | { readonly error: string };

/** Why a write did not get through; `refused`: the store certainly does not have it. */
export interface WriteProblem {
  readonly refused: boolean;
  readonly message: string;
}

export interface WhyNot {
  readonly error: 'StoreFailed' | 'StoreOverload' | 'NoLease';
  readonly message: string;
}

export interface StoredEntry {
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
}

/** Callbacks come in turns of their own, within the deadline of the store. */
export interface StorePort {
  /** A fault that tests put in: what a store gave is put although the key was written meanwhile. */
  readonly loadsOverNewer?: boolean;
  load(structure: string, keys: readonly Uint8Array[], done: (found: readonly Found[]) => void): void;
  write(
    structure: string,
    entries: readonly StoredEntry[],
    done: (problem: WriteProblem | null) => void,
  ): void;
  /** Why this member must not write for the structure now, or null. */
  whyNot(structure: string): WhyNot | null;
  /** Why there is no store of the structure to ask now, or null. */
  whyNone(structure: string): WhyNot | null;
  /** Why the store must not be owed so many writes more, or null; then these count as owed. */
  whyNoRoom(structure: string, writes: number): WhyNot | null;
  /** Writes that were answered before the store had them: one of the key is on its way. */
  isInFlight(structure: string, partition: number, key: Uint8Array): boolean;
  /** See `StoreAccess`, as are the rest. */
  flush(structure: string, partition: number, upToSeq: number, isFirst: boolean): void;
  hurry(structure: string, partition: number): void;
  fill(structure: string, job: string, replaces: boolean): Filling | WhyNot;
  troubles(structure: string, partition: number): readonly Trouble[];
}

const NO_STORE = 'this member has no store';

/** Of a member without stores. */
export const NO_STORES: StorePort = {
  load: (_structure, keys, done) => done(keys.map(() => ({ error: NO_STORE }))),
  write: (_structure, _entries, done) => done({ refused: true, message: NO_STORE }),
  whyNot: () => ({ error: 'StoreFailed', message: NO_STORE }),
  whyNone: () => null,
  whyNoRoom: () => null,
  isInFlight: () => false,
  flush: () => {},
  hurry: () => {},
  fill: () => ({ state: 'failed', loaded: 0, message: NO_STORE }),
  troubles: () => [],
};
