/** How the primary of a structure changes it by itself, when there is one of the name. Called by whoever does that. */
import type { PartitionReplica } from './replica.js';
import type { OperationContext, Service } from './service.js';

/** What it needs of the executor. */
export interface OwnChanges {
  service(id: number): Service | undefined;
  own(
    replica: PartitionReplica,
    service: Service,
    structure: string,
    act: (context: OperationContext) => void,
  ): boolean;
}

/** Gives what the change gave; undefined when it could not be made. */
export function housekeep<T>(
  executor: OwnChanges,
  replica: PartitionReplica,
  serviceId: number,
  structure: string,
  change: (service: Service, state: never, context: OperationContext) => T | undefined,
): T | undefined {
  const service = executor.service(serviceId);
  const state = replica.find(serviceId, structure);
  if (service === undefined || state === undefined) return undefined;
  let result: T | undefined;
  executor.own(replica, service, structure, (context) => {
    result = change(service, state as never, context);
  });
  return result;
}
