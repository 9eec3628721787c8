/**
 * The kinds of data structures, as configuration sees them. Everything here is derived from the list of
 * services, so that a new structure needs no change in this folder.
 */
import type { z } from 'zod';
import type { StructureOptions } from '../../partitions/service.js';
import { SERVICES } from '../../partitions/services/index.js';

type Listed = (typeof SERVICES)[number];

/** `{ maps?: { [pattern]: MapOptions }, atomicLongs?: ... }`, as people write it. */
export type StructureInputs = {
  readonly [M in Listed as M['configKey']]?: Readonly<Record<string, z.input<M['options']>>> | undefined;
};

/** The same with all defaults filled in. */
export type StructureConfigs = {
  readonly [M in Listed as M['configKey']]: Readonly<Record<string, Readonly<z.output<M['options']>>>>;
};

export interface StructureKind {
  /** Name of the service, as rows of the view and operations carry it: `map`. */
  readonly service: string;
  /** Key of the configuration: `maps`. */
  readonly configKey: string;
  readonly options: z.ZodType<StructureOptions>;
}

export const STRUCTURES: readonly StructureKind[] = SERVICES.map((module) => ({
  service: module.service.name,
  configKey: module.configKey,
  options: module.options as unknown as z.ZodType<StructureOptions>,
}));

/** The kind of a service's name, or undefined when this version does not have it. */
export function structureOf(service: string): StructureKind | undefined {
  return STRUCTURES.find((kind) => kind.service === service);
}
