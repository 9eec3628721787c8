/** All definitions of messages and operations, as `src/protocol.ts` lists them, with their codecs. */

import * as listeners from '../../listeners/messages.js';
import * as near from '../../nearcache/messages.js';
import { CATALOG_OPERATIONS } from '../../partitions/catalog/ops.js';
import * as fanOut from '../../partitions/fan-out-messages.js';
import { JOURNAL_OPERATIONS } from '../../partitions/merge-journal/ops.js';
import { SERVICES } from '../../partitions/services/index.js';
import * as antiEntropy from '../../replication/anti-entropy-messages.js';
import * as freshness from '../../replication/freshness-messages.js';
import * as merge from '../../replication/merge-messages.js';
import * as replication from '../../replication/messages.js';
import * as cluster from '../../src/cluster/messages.js';
import * as member from '../../src/policy/messages.js';
import type { AnyMessage } from '../../src/wire/message.js';
import * as link from '../../src/wire/messages.js';

function isDefinition(value: unknown): value is AnyMessage {
  return typeof value === 'object' && value !== null && 'id' in value && 'write' in value;
}

export const PLAIN: readonly AnyMessage[] = [
  link,
  fanOut,
  cluster,
  member,
  replication,
  merge,
  antiEntropy,
  freshness,
  near,
  listeners,
]
  .flatMap((module): unknown[] => Object.values(module))
  .filter(isDefinition);

export const OPERATIONS = [
  ...SERVICES.flatMap(({ service }) => [...service.operations]),
  ...Object.values(JOURNAL_OPERATIONS),
  ...Object.values(CATALOG_OPERATIONS),
];

export const DEFINITIONS: readonly AnyMessage[] = [
  ...PLAIN,
  ...OPERATIONS.flatMap(({ request, reply }) => [request, reply] as AnyMessage[]),
];
