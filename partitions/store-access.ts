/** What one run of an operation sees of the store of its structure. Made by `outside.ts`. */
import { textOf } from '../src/base/bytes.js';
import { NoLeaseError, StoreFailedError, StoreOverloadError } from '../src/base/errors.js';
import type { PartitionReplica } from './replica.js';
import type { Filling, StoreAccess, StorePlan, StructureOptions, Trouble } from './service.js';
import type { StorePort } from './store-port.js';

/** The place of a call's structure. */
export interface StructurePlace {
  readonly replica: PartitionReplica;
  readonly serviceId: number;
  readonly structure: string;
  readonly options: StructureOptions;
}

/** What one run of an operation sees. */
export class Access implements StoreAccess {
  readonly isWrite: boolean;
  planned: StorePlan | null = null;
  readonly #port: StorePort;
  readonly #place: StructurePlace;
  readonly #absent: ReadonlySet<string> | null;

  constructor(port: StorePort, place: StructurePlace, isWrite: boolean, absent: ReadonlySet<string> | null) {
    this.#port = port;
    this.#place = place;
    this.isWrite = isWrite;
    this.#absent = absent;
  }

  isAbsent(key: Uint8Array): boolean {
    return this.#absent?.has(textOf(key)) === true;
  }

  isInFlight(key: Uint8Array): boolean {
    return this.#port.isInFlight(this.#place.structure, this.#place.replica.id, key);
  }

  flush(upToSeq: number): void {
    this.#port.flush(this.#place.structure, this.#place.replica.id, upToSeq);
  }

  hurry(): void {
    this.#port.hurry(this.#place.structure);
  }

  fill(job: string, replaces: boolean): Filling {
    return this.#port.fill(this.#place.structure, job, replaces);
  }

  troubles(): readonly Trouble[] {
    return this.#port.troubles(this.#place.structure, this.#place.replica.id);
  }

  checkRoom(): void {
    const { structure } = this.#place;
    if (this.#port.isFull(structure))
      throw new StoreOverloadError(`the store of '${structure}' lacks as many writes as maxPending allows`);
  }

  plan(plan: StorePlan): void {
    const { structure } = this.#place;
    const why = this.#port.whyNot(structure);
    if (why !== null) {
      const text = `the store of '${structure}': ${why.message}`;
      throw why.error === 'NoLease' ? new NoLeaseError(text) : new StoreFailedError(text);
    }
    this.planned = plan;
  }
}

/** At a replica that is no primary: what is not in memory is asked of the primary. */
export const BEHIND: StoreAccess = {
  isWrite: false,
  isAbsent: () => false,
  isInFlight: () => false,
  checkRoom: () => {},
  flush: () => {},
  hurry: () => {},
  fill: () => ({ state: 'running', loaded: 0, message: '' }),
  troubles: () => [],
  plan: () => {},
};
