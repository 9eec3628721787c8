/** Who may talk to whom, and what a refusal says. */
import { describe, expect, it } from 'vitest';
import { ERROR_ROWS, errorFromWire, HandshakeRefusedError } from '../../src/base/errors.js';
import { judge } from '../../src/wire/handshake.js';
import { PROTOCOL_VERSION, PROTOCOL_VERSION_MIN } from '../../src/wire/version.js';

const ID = '11111111-1111-4111-8111-111111111111';
const OWN = { clusterName: 'shop', id: ID, address: 'here:1', partitionCount: 271 };
const MEMBER = {
  clusterName: 'shop',
  versionMin: PROTOCOL_VERSION_MIN,
  versionMax: PROTOCOL_VERSION,
  role: 'member',
  id: '22222222-2222-4222-8222-222222222222',
  address: 'there:1',
  partitionCount: 271,
  singleMember: false,
} as const;

function refusalOf(
  change: (Partial<Omit<typeof MEMBER, 'role'>> & { role?: 'member' | 'client' }) | object,
): string {
  const verdict = judge(OWN, { ...MEMBER, ...change });
  if (!('refusal' in verdict)) return '';
  expect(errorFromWire(verdict.refusal.error, '')).toBeInstanceOf(HandshakeRefusedError);
  expect(verdict.refusal.error).toBe(ERROR_ROWS.HandshakeRefused.wire);
  return verdict.refusal.message;
}

describe('the handshake', () => {
  it('welcomes a member that fits, with its own identity', () => {
    expect(judge(OWN, MEMBER)).toEqual({
      welcome: { version: PROTOCOL_VERSION, id: ID, address: 'here:1', partitionCount: 271 },
    });
  });

  it('welcomes a client, which takes the number of partitions from the cluster', () => {
    expect(refusalOf({ role: 'client', address: '', partitionCount: 0 })).toBe('');
  });

  it('agrees on the highest version that both speak', () => {
    const verdict = judge(OWN, { ...MEMBER, versionMax: PROTOCOL_VERSION + 5 });
    expect(verdict).toMatchObject({ welcome: { version: PROTOCOL_VERSION } });
  });

  it.each([
    ['another cluster', { clusterName: 'other' }, /'shop', not to 'other'.*clusterName/],
    ['a cluster name of another case', { clusterName: 'Shop' }, /'Shop'/],
    ['other partitions', { partitionCount: 13 }, /271 partitions, you have 13.*partitionCount/],
    [
      'only newer versions',
      { versionMin: PROTOCOL_VERSION + 1, versionMax: PROTOCOL_VERSION + 2 },
      /protocol versions differ.*install/,
    ],
    [
      'only older versions',
      { versionMin: 0, versionMax: PROTOCOL_VERSION_MIN - 1 },
      /protocol versions differ/,
    ],
    ['no version at all', { versionMin: 5, versionMax: 1 }, /protocol versions differ/],
  ])('refuses %s, saying what differs and what to do', (_name, change, pattern) => {
    expect(refusalOf(change)).toMatch(pattern);
  });

  it('says no more of a hostile name than fits into a line', () => {
    expect(refusalOf({ clusterName: 'x'.repeat(10_000) }).length).toBeLessThan(300);
  });
});
