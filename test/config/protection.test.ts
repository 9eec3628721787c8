/** Split-brain protection: which definition guards a structure. */
import { describe, expect, it } from 'vitest';
import type { StructureRow } from '../../src/cluster/view.js';
import { protectionFor } from '../../src/config/protection.js';
import { optionsFor, structureRows } from '../../src/config/rows.js';
import { memberConfig } from '../../src/config.js';

const rows = structureRows(
  memberConfig({
    splitBrainProtections: {
      three: { minimumClusterSize: 3 },
      writers: { minimumClusterSize: 2, protectOn: 'WRITE' },
    },
    maps: { users: { splitBrainProtection: 'three' }, 'cart-*': { splitBrainProtection: 'writers' } },
  }),
);

const named = (splitBrainProtection: string) => ({ splitBrainProtection });

describe('the split-brain protection of a structure', () => {
  it('is the definition that its options name', () => {
    const of = (name: string) => protectionFor(optionsFor('map', name, rows), rows);
    expect(of('users')).toEqual({ minimumClusterSize: 3, protectOn: 'READ_WRITE' });
    expect(of('cart-7')).toEqual({ minimumClusterSize: 2, protectOn: 'WRITE' });
    expect(of('other')).toBeNull();
  });

  it('is read once for each list of rows', () => {
    expect(protectionFor(named('three'), rows)).toBe(protectionFor(named('three'), rows));
    expect(protectionFor(named('three'), [...rows])).not.toBe(protectionFor(named('three'), rows));
  });

  it.each<[string, StructureRow[]]>([
    ['is not defined', []],
    [
      'is defined as a structure only',
      [{ service: 'map', pattern: 'three', options: '{"minimumClusterSize":2}' }],
    ],
    [
      'cannot be read',
      [{ service: 'splitBrainProtection', pattern: 'three', options: '{"minimumClusterSize":1}' }],
    ],
  ])('that %s is never satisfied', (_, given) => {
    expect(protectionFor(named('three'), given)).toEqual({
      minimumClusterSize: 1_001,
      protectOn: 'READ_WRITE',
    });
  });
});
