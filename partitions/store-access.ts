/** What one run of an operation sees of the store of its structure. Made by `outside.ts`. */
import { textOf } from '../src/base/bytes.js';
import { type GridError, NoLeaseError, StoreFailedError, StoreOverloadError } from '../src/base/errors.js';
import type { PartitionReplica } from './replica.js';
import type { Filling, StoreAccess, StorePlan, StructureOptions, Trouble } from './service.js';
import type { StorePort, WhyNot } from './store-port.js';

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

  flush(upToSeq: number, isFirst: boolean): void {
    this.#check(this.#port.whyNone(this.#place.structure));
    this.#port.flush(this.#place.structure, this.#place.replica.id, upToSeq, isFirst);
  }

  hurry(): void {
    this.#port.hurry(this.#place.structure, this.#place.replica.id);
  }

  fill(job: string, replaces: boolean): Filling {
    const filling = this.#port.fill(this.#place.structure, job, replaces);
    if ('error' in filling) throw this.#problem(filling);
    return filling;
  }

  troubles(): readonly Trouble[] {
    return this.#port.troubles(this.#place.structure, this.#place.replica.id);
  }

  checkRoom(writes: number): void {
    this.#check(this.#port.whyNoRoom(this.#place.structure, writes));
  }

  plan(plan: StorePlan): void {
    this.#check(this.#port.whyNot(this.#place.structure));
    this.planned = plan;
  }

  #check(why: WhyNot | null): void {
    if (why !== null) throw this.#problem(why);
  }

  #problem({ error, message }: WhyNot): GridError {
    return new ERRORS[error](`the store of '${this.#place.structure}': ${message}`);
  }
}

const ERRORS = { StoreFailed: StoreFailedError, StoreOverload: StoreOverloadError, NoLease: NoLeaseError };

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
