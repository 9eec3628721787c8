/**
 * What a data structure hands to the rest of the grid: its service for members, its options for configuration and
 * its proxy for users, in one row of the list in `index.ts`. Nothing outside of its folder knows it in another way.
 */
import type { z } from 'zod';
import type { AnyOperation, ReplyOf, RequestOf } from '../../src/wire/message.js';
import type { CallOptions, Invoker } from '../invoker.js';
import type { OperationContext, Service, StructureOptions } from '../service.js';

/**
 * The getters of clients and embedded members: `getMap` and so on. Each structure's `proxy.ts` adds its own by
 * declaration merging.
 */
// biome-ignore lint/suspicious/noEmptyInterface: the structures fill it
export interface StructureGetters {}

export interface StructureModule {
  readonly service: Service;
  /** Parsing `{}` gives the defaults. */
  readonly options: z.ZodType<StructureOptions>;
  /** Key of the configuration under which names and patterns get these options: `maps`. */
  readonly configKey: string;
  readonly getter: keyof StructureGetters;
  /** `options` are those of calls that set none; `forget` is called when a user destroys the structure. */
  createProxy(name: string, invoker: Invoker, options: CallOptions, forget: () => void): object;
}

/** A handler for each operation of a table, with the types that the operation's fields give. */
export type HandlersOf<S, O extends Readonly<Record<string, AnyOperation>>> = {
  readonly [K in keyof O]: (state: S, request: RequestOf<O[K]>, context: OperationContext) => ReplyOf<O[K]>;
};
