/**
 * What the operations of structures with keys have in common: the bounds of their fields, and those that go through
 * whole partitions. Called by the `ops.ts` of map and multimap, and by what sends these operations for both.
 */
import {
  bool,
  bytes,
  count,
  type FieldsOf,
  f64,
  list,
  mapped,
  oneOf,
  text,
  u32,
} from '../../src/wire/fields.js';
import { checkedKey, MAX_KEY_BYTES } from '../../src/wire/keys.js';
import type { OperationDef } from '../../src/wire/message.js';
import { MAX_VALUE_BYTES } from '../../src/wire/values.js';
import { MAX_FUNCTION_NAME } from '../user-functions.js';

/** Most keys or entries of one bulk request or of one page. */
export const MAX_BATCH = 4096;

/** Only bytes that are those of a key. */
export const key = mapped(bytes(MAX_KEY_BYTES), 'key', (given: Uint8Array) => given, checkedKey);
/** With the byte that says its format. */
export const value = bytes(MAX_VALUE_BYTES + 1);
/** Of a registered function; a character has up to three bytes. */
export const functionName = text(3 * MAX_FUNCTION_NAME);
/** A hash at which a scan goes on, or -1 at its end. */
export const next = f64;

/** A page of a removal of everything; see `removed` of the structures. */
export const removalPage = {
  request: { cursor: u32, upTo: count },
  reply: { next, upTo: count, removed: u32 },
};

export const scanPage = {
  request: { cursor: u32, what: oneOf(['keys', 'values', 'entries'] as const), maxBytes: u32 },
  reply: { next, keys: list(key, MAX_BATCH), values: list(value, MAX_BATCH) },
};

export const sizePage = { request: {}, reply: { entries: count } };

export const searchPage = { request: { value, cursor: u32 }, reply: { found: bool, next } };

/** What a scan asks for. */
export type ScanWhat = 'keys' | 'values' | 'entries';
export type ScanReply = FieldsOf<typeof scanPage.reply>;
export type ScanOperation = OperationDef<FieldsOf<typeof scanPage.request>, ScanReply>;
export type CountOperation = OperationDef<FieldsOf<typeof sizePage.request>, FieldsOf<typeof sizePage.reply>>;
export type SearchOperation = OperationDef<
  FieldsOf<typeof searchPage.request>,
  FieldsOf<typeof searchPage.reply>
>;
export type RemovalOperation = OperationDef<
  FieldsOf<typeof removalPage.request>,
  FieldsOf<typeof removalPage.reply>
>;
