/** Local stand-in for the list of services until it is there. */
import { mapOptions } from '../../partitions/services/map/options.js';
import { atomicLongOptions } from '../../partitions/services/atomiclong/options.js';

export const SERVICES = [
  { service: { name: 'map' }, configKey: 'maps', options: mapOptions },
  { service: { name: 'atomicLong' }, configKey: 'atomicLongs', options: atomicLongOptions },
] as const;
