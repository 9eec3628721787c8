/** What a session remembers, and its token: below 8 KiB, exact, and refused when it is anything else. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Session } from '../../client/core/session.js';
import { murmur3 } from '../../partitions/hash.js';
import { SessionTokenError } from '../../src/base/errors.js';

const HOME = { clusterName: 'dev', partitionCount: 271 };
const home = () => HOME;

describe('a session', () => {
  it('keeps the place that a replica can be held to, in whatever order answers come', () => {
    const session = Session.of(home);
    session.saw(3, { lineage: 1, epoch: 2, seq: 10 }, null);
    session.saw(3, { lineage: 1, epoch: 2, seq: 8 }, null);
    expect(session.lowest(3)).toEqual({ lineage: 1, epoch: 2, seq: 10 });
    // Of a primary that did not have position 10: a replica is to say that this is lost.
    session.saw(3, { lineage: 1, epoch: 5, seq: 9 }, null);
    expect(session.lowest(3)).toEqual({ lineage: 1, epoch: 2, seq: 10 });
    session.saw(3, { lineage: 1, epoch: 5, seq: 11 }, { lineage: 1, epoch: 2, seq: 10 });
    // A late answer of a primary that was replaced.
    session.saw(3, { lineage: 1, epoch: 2, seq: 40 }, null);
    expect(session.lowest(3)).toEqual({ lineage: 1, epoch: 5, seq: 11 });
    session.saw(3, { lineage: 2, epoch: 1, seq: 14 }, { lineage: 1, epoch: 5, seq: 11 });
    expect(session.lowest(3)).toEqual({ lineage: 2, epoch: 1, seq: 14 });
    expect(session.lowest(4)).toBeNull();
  });

  it('goes on from its token in another process', () => {
    const place = fc.record({
      lineage: fc.integer({ min: 0, max: 0xffff_ffff }),
      epoch: fc.integer({ min: 0, max: 0xffff_ffff }),
      seq: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    });
    const places = fc.uniqueArray(fc.tuple(fc.integer({ min: 0, max: 270 }), place), {
      selector: ([p]) => p,
    });
    fc.assert(
      fc.property(places, (all) => {
        const session = Session.of(home);
        for (const [partition, one] of all) session.saw(partition, one, null);
        const again = Session.of(home, session.token());
        expect([...again.places]).toEqual([...session.places]);
      }),
    );
  });

  it('has a token below 8 KiB with a place in each of 271 partitions', () => {
    const session = Session.of(home);
    for (let p = 0; p < 271; p++) session.saw(p, { lineage: 0xffff_ffff, epoch: 1e9, seq: 2 ** 52 }, null);
    expect(session.token().length).toBeLessThan(8 * 1024);
  });

  it('is refused for every token that is damaged, cut off or longer', () => {
    const session = Session.of(home);
    for (let p = 0; p < 5; p++) session.saw(p, { lineage: 7, epoch: p, seq: 100 + p }, null);
    const token = session.token();
    const broken = fc.oneof(
      fc.integer({ min: 0, max: token.length - 1 }).map((end) => token.slice(0, end)),
      fc.string({ minLength: 1, maxLength: 8 }).map((more) => token + more),
      fc
        .tuple(fc.integer({ min: 0, max: token.length - 1 }), fc.constantFrom(...'aZ09-_'))
        .map(([at, char]) => {
          return token.slice(0, at) + char + token.slice(at + 1);
        }),
      fc.string(),
    );
    fc.assert(
      fc.property(broken, (text) => {
        if (Buffer.from(text, 'base64url').equals(Buffer.from(token, 'base64url'))) return;
        expect(() => Session.of(home, text)).toThrow(SessionTokenError);
      }),
      { numRuns: 500 },
    );
  });

  it('does not let an answer that was asked for before hide a loss', () => {
    const session = Session.of(home);
    const place = (epoch: number, seq: number) => ({ lineage: 1, epoch, seq });
    session.saw(0, place(1, 100), null);
    // Asked for before that, answered by another primary, which may lack it.
    session.saw(0, place(2, 150), null);
    session.saw(0, place(2, 150), place(1, 90));
    expect(session.lowest(0)).toEqual(place(1, 100));
    session.saw(0, place(2, 151), place(1, 100));
    expect(session.lowest(0)).toEqual(place(2, 151));
  });

  it('is refused for a token that was made up, whatever its sum says', () => {
    const made = Session.of(() => ({ ...HOME, partitionCount: 271 }));
    made.saw(300, { lineage: 1, epoch: 1, seq: 1 }, null);
    expect(() => Session.of(home, made.token())).toThrow(SessionTokenError);
    const body = Buffer.from(Session.of(home).token(), 'base64url').subarray(5);
    for (const bytes of [body.subarray(0, 3), Buffer.concat([body, Buffer.alloc(1)])]) {
      const head = Buffer.from([1, 0, 0, 0, 0]);
      head.writeUInt32LE(murmur3(bytes), 1);
      const token = Buffer.concat([head, bytes]).toString('base64url');
      expect(() => Session.of(home, token)).toThrow(SessionTokenError);
    }
  });

  it('is refused for the token of another cluster, with both names', () => {
    const token = Session.of(() => ({ clusterName: 'prod', partitionCount: 11 })).token();
    expect(() => Session.of(home, token)).toThrow(/'prod' with 11 partitions; this is 'dev' with 271/);
  });
});
