/**
 * Runs what the primaries of this member have to do elsewhere in the grid, as calls of its embedded API. Invariants: an
 * errand begins when the position that it follows from can not be lost any more, of a consistent structure only under the
 * lease, because what a member without one has decided may never count, and its calls would go through after the heal; a
 * bounded number is under way; one that failed is begun again in a later turn, while its structure still asks for it.
 * Called once a second by housekeeping.
 */
import type { Errand } from '../../partitions/errands.js';
import type { Invoker } from '../../partitions/invoker.js';
import { partitionOfName } from '../../partitions/placement.js';
import type { PartitionReplica } from '../../partitions/replica.js';
import type { Service, StructureOptions } from '../../partitions/service.js';
import { SERVICES } from '../../partitions/services/index.js';
import type { Replication } from '../../replication/replication.js';
import type { Ports } from '../base/ports.js';
import type { View } from '../cluster/view.js';
import { servedOptions } from '../config/rows.js';
import type { OperationDef } from '../wire/message.js';
import type { Admission } from './admission.js';

/** At a time. */
const MAX_RUNNING = 128;

/** What is there is as safe as it is where it comes from, whatever the preset of the structure. */
const OPTIONS = { timeoutMs: 10_000, consistency: 'EC' } as const;

const WITH_ERRANDS: readonly Service[] = SERVICES.map(({ service }): Service => service).filter(
  ({ errands }) => errands !== undefined,
);

export interface ErrandsHost {
  readonly calls: Invoker;
  readonly replication: Replication;
  readonly admission: Admission;
  readonly ports: Ports;
  readonly view: View | null;
  where(): { readonly view: number; readonly lineage: number };
}

export class Errands {
  readonly #host: ErrandsHost;
  readonly #running = new Set<string>();

  constructor(host: ErrandsHost) {
    this.#host = host;
  }

  run(): void {
    const { replication } = this.#host;
    for (const replica of replication.holdings.all())
      if (replication.isServing(replica.id)) for (const service of WITH_ERRANDS) this.#of(replica, service);
  }

  #of(replica: PartitionReplica, service: Service): void {
    for (const [name, state] of replica.statesOf(service.id) ?? []) {
      if (state.entryCount === 0) continue;
      const options = servedOptions(service.name, name, this.#host.view?.structures ?? []);
      const errands = service.errands?.(state as never, options) ?? [];
      const safeSeq = errands.length === 0 ? -1 : this.#safeSeq(replica, options);
      for (const errand of errands)
        if (errand.seq <= safeSeq) this.#begin(`${replica.id}/${service.id}/${name}/${errand.key}`, errand);
    }
  }

  /** As for an answer that shows the position; -1 when this member may not answer. */
  #safeSeq({ id, seq }: PartitionReplica, options: StructureOptions): number {
    const { admission, replication } = this.#host;
    const known = admission.asKnown(options, this.#host.where());
    if (admission.mayAnswer(id, known) !== null) return -1;
    const { sync } = known.backups;
    return sync === 0 ? seq : replication.committed(id, sync);
  }

  #begin(name: string, errand: Errand): void {
    if (this.#running.has(name) || this.#running.size >= MAX_RUNNING) return;
    this.#running.add(name);
    const { calls, ports } = this.#host;
    void runErrand(errand, calls)
      .catch((error: unknown) =>
        ports.logger.log('debug', 'an errand failed', { name, error: String(error) }),
      )
      .finally(() => this.#running.delete(name));
  }
}

/** Ends when a call is answered by something that the next one must not follow; rejects with what a call rejects with. */
export async function runErrand({ calls }: Errand, invoker: Invoker): Promise<void> {
  for (const { operation, structure, request, goesOn } of calls) {
    const partition = partitionOfName(structure, invoker.partitionCount);
    const typed = operation as OperationDef<unknown, never>;
    const isDone = await invoker.invoke(typed, partition, structure, request, OPTIONS, goesOn);
    if (!isDone) return;
  }
}
