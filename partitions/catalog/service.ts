/**
 * What the operation of the catalog does. It is a service like those of the data structures, known to the executor of each
 * member, but has no data of its own: it looks at what the partition has.
 */
import type { Service, ServiceState } from '../service.js';
import type { HandlersOf } from '../services/structure.js';
import { CATALOG_ID, CATALOG_OPERATIONS, MAX_LISTED } from './ops.js';

/** Nothing is ever written to it. */
const NO_STATE: ServiceState = {
  apply: () => {},
  copy: () => -1,
  paste: () => {},
  changes: () => -1,
  entryCount: 0,
  sizeBytes: 0,
  dump: () => [],
  dispose: () => {},
};

const handlers: HandlersOf<ServiceState, typeof CATALOG_OPERATIONS> = {
  list(_state, { after }, context) {
    context.dependsOn(context.seq - 1);
    const isBehind = (service: number, name: string) =>
      service > after.service || (service === after.service && name > after.name);
    const found = context
      .structures()
      .filter(({ serviceId, name, state }) => state.entryCount > 0 && isBehind(serviceId, name));
    const page = found.slice(0, MAX_LISTED);
    return {
      structures: page.map(({ serviceId, name }) => ({ service: serviceId, name })),
      isLast: page.length === found.length,
    };
  },
};

export const catalogService: Service = {
  id: CATALOG_ID,
  name: 'catalog',
  operations: Object.values(CATALOG_OPERATIONS),
  createState: () => NO_STATE,
  handlers,
  merge: () => {},
};
