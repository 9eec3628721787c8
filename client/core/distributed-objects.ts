/**
 * Which structures there are in the grid: what the primaries of all partitions tell, each structure once. The same for clients
 * and embedded members. Invariant: a partition that nobody serves is an error, never an absence.
 */
import { CATALOG_NAME, CATALOG_OPERATIONS } from '../../partitions/catalog/ops.js';
import type { Invoker } from '../../partitions/invoker.js';
import { SERVICES } from '../../partitions/services/index.js';
import { everywhere } from '../../partitions/services/proxy-everywhere.js';

const START = { service: 0, name: '' };

/** A structure that has data. */
export interface DistributedObject {
  /** `map`, `queue`, `multiMap`, `atomicLong` or `topic`. */
  readonly service: string;
  readonly name: string;
}

/** By the number on the wire; others are not the user's. */
const KINDS = new Map<number, string>(SERVICES.map(({ service }) => [service.id, service.name]));

export async function distributedObjects(invoker: Invoker): Promise<DistributedObject[]> {
  const found = new Map<string, DistributedObject>();
  const options = invoker.bounded({});
  await everywhere(invoker, async (partition) => {
    for (let after = START, isLast = false; !isLast; ) {
      const page = await invoker.invoke(
        CATALOG_OPERATIONS.list,
        partition,
        CATALOG_NAME,
        { after },
        options,
        (reply) => reply,
      );
      for (const { service: id, name } of page.structures) {
        const service = KINDS.get(id);
        if (service !== undefined) found.set(`${service} ${name}`, { service, name });
      }
      after = page.structures.at(-1) ?? after;
      isLast = page.isLast || page.structures.length === 0;
    }
  });
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, one]) => one);
}
