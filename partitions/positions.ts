/**
 * What was changed becomes the next position of a partition: by a call, or by the member itself, for housekeeping and for
 * what stores bring. Owned by the executor.
 */
import { appendEntry } from './append-entry.js';
import type { ExecutorOptions } from './executor-options.js';
import { EMPTY_BYTES } from './limits.js';
import type { Context } from './operation-context.js';
import type { ParkedCalls } from './parked.js';
import type { PartitionReplica } from './replica.js';
import type { Replicator } from './replicator.js';
import type { CallId, OperationContext, Service, ServiceState } from './service.js';
import type { WindowEntry } from './sessions.js';

type Outcome = Pick<WindowEntry, 'reply' | 'syncBackups' | 'isVoid' | 'isConsistent'>;

/** Of a change that no call made. */
const NO_CALL: Outcome = { reply: EMPTY_BYTES, syncBackups: 0, isVoid: false, isConsistent: false };
/** In an entry that only tells of a call. */
export const NO_SERVICE = 0;

type Act = (context: Context) => void;

export class Positions {
  readonly #services: ReadonlyMap<number, Service>;
  readonly #replicator: Replicator;
  readonly #context: Context;
  readonly #parked: Pick<ParkedCalls, 'wake'>;
  readonly #options: ExecutorOptions;

  constructor(
    services: ReadonlyMap<number, Service>,
    replicator: Replicator,
    context: Context,
    parked: Pick<ParkedCalls, 'wake'>,
    options: ExecutorOptions,
  ) {
    this.#services = services;
    this.#replicator = replicator;
    this.#context = context;
    this.#parked = parked;
    this.#options = options;
  }

  /** The change in the context becomes the next position of the partition. */
  record(
    replica: PartitionReplica,
    serviceId: number,
    structure: string,
    { client, sequence }: CallId,
    below: number,
    { reply, syncBackups, isVoid, isConsistent }: Outcome,
  ): void {
    appendEntry(this.#replicator, replica, this.#options.hlc, () => ({
      serviceId,
      structure,
      syncBackups,
      isVoid,
      isConsistent,
      client,
      sequence,
      below,
      delta: this.#context.takeDelta(),
      reply,
    }));
    const { touchedHashes } = this.#context;
    if (touchedHashes.length > 0)
      this.#options.changed?.(replica.id, serviceId, structure, replica.seq, touchedHashes);
  }

  /** A change that the primary makes by itself; false when `act` changed nothing. */
  own(replica: PartitionReplica, service: Service, structure: string, act: Act): boolean {
    const options = this.#options.optionsFor(service, structure);
    if (this.#options.gate.mayAnswer(replica.id, options) !== null) return false;
    const context = this.#context.begin(replica, options);
    act(context);
    if (!context.changed) return false;
    const woken = [...context.woken];
    const call = { partition: replica.id, client: 0, sequence: 0 };
    this.record(replica, service.id, structure, call, 0, NO_CALL);
    if (!replica.detachEmpty(service.id, structure)) this.#parked.wake(replica.id, service.id, structure);
    for (const thing of woken) this.#parked.wake(replica.id, service.id, structure, thing);
    return true;
  }

  /** The same for a structure that this partition need not have anything of yet. */
  amend(
    replica: PartitionReplica,
    serviceId: number,
    structure: string,
    change: (state: ServiceState, context: OperationContext) => void,
  ): boolean {
    const service = this.#services.get(serviceId) as Service;
    const found = replica.find(serviceId, structure);
    const state = found ?? replica.emptyState(service, structure);
    return this.own(replica, service, structure, (context) => {
      change(state, context);
      if (context.changed && found === undefined) replica.attach(service, structure, state);
    });
  }
}
