/**
 * The list of data structures. A new one adds its folder, an import and an element here, and nothing else changes.
 */
import { ATOMIC_LONG } from './atomiclong/proxy.js';
import { MAP } from './map/proxy.js';
import { MULTI_MAP } from './multimap/proxy.js';
import { QUEUE } from './queue/proxy.js';
import type { StructureModule } from './structure.js';
import { TOPIC } from './topic/proxy.js';

export const SERVICES = [
  MAP,
  ATOMIC_LONG,
  QUEUE,
  MULTI_MAP,
  TOPIC,
] as const satisfies readonly StructureModule[];
