/** Requests from the network whose paths mean nothing: refused where the field is read, whoever sent them. */
import { describe, expect, it } from 'vitest';
import { ALWAYS_TRUE } from '../../partitions/query/predicate.js';
import { QUERY_OPERATIONS } from '../../partitions/services/map/query-ops.js';
import { Reader, Writer } from '../../src/base/bytes.js';
import { ProtocolError } from '../../src/base/errors.js';

const where = { predicate: ALWAYS_TRUE, cursor: 0 };
const { aggregate, project, setIndex, warmIndex, queryPage } = QUERY_OPERATIONS;
const index = (...attributes: string[]) => ({ name: 'i', type: 'SORTED' as const, attributes });
const page = { order: 'asc', after: null, before: null, limit: 1, withValues: 'no' } as const;

/** What is read of what was written, which writing does not check. */
const REQUESTS = {
  aggregate: (attribute: string) =>
    again(aggregate, { ...where, aggregator: { kind: 'max', attribute } }).aggregator.attribute,
  project: (attribute: string) =>
    again(project, { ...where, attributes: ['a', attribute], maxBytes: 1 }).attributes[1],
  setIndex: (attribute: string) => again(setIndex, { index: index(attribute) }).index?.attributes[0],
  warmIndex: (attribute: string) => again(warmIndex, { index: index(attribute) }).index.attributes[0],
  queryPage: (attribute: string) => again(queryPage, { ...where, ...page, attribute }).attribute,
};

interface Operation<Q> {
  readonly request: { write(out: Writer, request: Q): void; read(input: Reader): Q };
}

function again<Q>({ request }: Operation<Q>, sent: Q): Q {
  const out = new Writer();
  request.write(out, sent);
  return request.read(new Reader(out.toBytes()));
}

describe.each(Object.entries(REQUESTS))('a path in a request %s', (name, read) => {
  it.each(['', 'a b', 'a[x]', 'a.', '.a', '[any', '"a', 'a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q'])(
    'is refused when it is none: %j',
    (path) => {
      expect(() => read(path)).toThrow(ProtocolError);
    },
  );

  it('is taken in its one form', () => {
    expect(read('a.b[0]')).toBe('a.b[0]');
    expect(read('a."b"')).toBe('a.b');
    expect(read('__key')).toBe('__key');
  });

  it('may lead to several values only where that means something', () => {
    if (name === 'project' || name === 'queryPage') expect(() => read('a[any]')).toThrow(ProtocolError);
    else expect(read('a[any]')).toBe('a[any]');
  });
});

describe('an index in a request', () => {
  it('is refused when it is none', () => {
    const read = (sent: ReturnType<typeof index>) => () => again(setIndex, { index: sent });
    expect(read(index())).toThrow(ProtocolError);
    expect(read(index('a', 'a'))).toThrow(ProtocolError);
    expect(read(index('a', 'b[any]'))).toThrow(ProtocolError);
    expect(read({ ...index('a'), name: '' })).toThrow(ProtocolError);
    expect(read(index('a', 'b'))()).toEqual({ index: index('a', 'b') });
  });
});
