/**
 * How messages for people name a call: by the method that was called, `queue.put on 'jobs'`. A proxy says so where one operation
 * serves several methods (`calledAs`); here are the operations that no method has the name of.
 */
import type { OpenCall } from './open-call.js';

const METHODS: Readonly<Record<string, string>> = {
  'map.removeIfSame': 'remove',
  'map.scan': 'entrySet',
  'map.beginLoad': 'getOrLoad',
  'map.finishLoad': 'getOrLoad',
  'map.abandonLoad': 'getOrLoad',
  'map.awaitLoad': 'getOrLoad',
  'map.query': 'entrySetWithPredicate',
  'map.queryPage': 'entrySetWithPredicate',
  'map.removeWhere': 'removeAll',
  'map.setIndex': 'addIndex',
  'map.warmIndex': 'addIndex',
  'map.loadKeys': 'loadAll',
  'map.fillMap': 'loadAll',
  'map.flushStore': 'flush',
  'multiMap.scan': 'entrySet',
  'queue.drain': 'drainTo',
  'queue.list': 'toArray',
  'queue.handOut': 'take',
  'queue.acknowledge': 'ack',
  'queue.giveBack': 'nack',
};

export function callName({ operation, structure, calledAs }: CallOf): string {
  const { name } = operation;
  const method = calledAs ?? METHODS[name];
  const text = method === undefined ? name : `${name.slice(0, name.indexOf('.'))}.${method}`;
  return `${text} on '${structure}'`;
}

type CallOf = Pick<OpenCall, 'operation' | 'structure' | 'calledAs'>;
