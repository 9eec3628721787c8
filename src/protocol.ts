/**
 * The list of every message and operation: the protocol page is printed from it, and its hash guards the protocol
 * version. The only file that knows them all.
 */
import * as listeners from '../listeners/messages.js';
import * as near from '../nearcache/messages.js';
import { PREFIX_FIELDS } from '../partitions/call.js';
import { CATALOG_OPERATIONS } from '../partitions/catalog/ops.js';
import * as fanOut from '../partitions/fan-out-messages.js';
import { JOURNAL_OPERATIONS } from '../partitions/merge-journal/ops.js';
import { SERVICES } from '../partitions/services/index.js';
import * as antiEntropy from '../replication/anti-entropy-messages.js';
import * as freshness from '../replication/freshness-messages.js';
import * as merge from '../replication/merge-messages.js';
import * as replication from '../replication/messages.js';
import * as cluster from './cluster/messages.js';
import * as member from './policy/messages.js';
import { HEADER_FIELDS } from './wire/frame.js';
import type { AnyMessage, AnyOperation } from './wire/message.js';
import * as link from './wire/messages.js';

export interface MessageRow {
  readonly id: number;
  readonly name: string;
  readonly doc: string;
  readonly fields: readonly { readonly name: string; readonly type: string; readonly doc?: string }[];
}

function definitionsOf(module: object): AnyMessage[] {
  return Object.values(module).filter((value): value is AnyMessage => {
    return typeof value === 'object' && value !== null && 'id' in value && 'write' in value;
  });
}

function row(def: AnyMessage): MessageRow {
  const fields = Object.entries(def.fields).map(([name, field]) => ({ name, type: field.type }));
  return { id: def.id, name: def.name, doc: def.doc, fields };
}

function operationRows(operation: AnyOperation): MessageRow[] {
  const request = row(operation.request);
  const doc = operation.fansOut !== null ? `${request.doc} Can be asked for with fanOut.` : request.doc;
  return [
    { ...request, doc },
    { ...row(operation.reply), doc: `Reply of ${operation.name}.` },
  ];
}

/** Fields of the header, then those that every operation has before its own. */
export const HEADER = HEADER_FIELDS;
export const CALL_PREFIX = PREFIX_FIELDS;

/** By number; the reply of an operation follows its request. */
export const MESSAGES: readonly MessageRow[] = [
  ...[link, fanOut, cluster, member, replication, merge, antiEntropy, freshness, near, listeners]
    .flatMap(definitionsOf)
    .map(row),
  ...SERVICES.flatMap(({ service }) => service.operations.flatMap(operationRows)),
  ...Object.values(JOURNAL_OPERATIONS).flatMap(operationRows),
  ...Object.values(CATALOG_OPERATIONS).flatMap(operationRows),
].sort((a, b) => a.id - b.id);
