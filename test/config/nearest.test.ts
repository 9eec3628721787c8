/** The nearest right name to a wrong one. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { editDistance, nearest } from '../../src/config/nearest.js';

describe('the edit distance', () => {
  it.each([
    ['', '', 0],
    ['abc', '', 3],
    ['backup', 'backups', 1],
    ['prot', 'port', 1],
    ['kitten', 'sitting', 3],
    ['ca', 'abc', 3],
  ])('from %j to %j is %d', (a, b, edits) => {
    expect(editDistance(a, b)).toBe(edits);
  });

  it('is zero for equal texts only, symmetric, and at most the longer length', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), (a, b) => {
        const edits = editDistance(a, b);
        expect(edits).toBe(editDistance(b, a));
        expect(edits === 0).toBe(a === b);
        expect(edits).toBeLessThanOrEqual(Math.max(a.length, b.length));
        expect(edits).toBeGreaterThanOrEqual(Math.abs(a.length - b.length));
      }),
    );
  });
});

describe('the nearest name', () => {
  const names = ['clusterName', 'host', 'port', 'join', 'partitionCount', 'backups', 'minSynced'];

  it.each([
    ['backup', 'backups'],
    ['prot', 'port'],
    ['cluster_name', 'clusterName'],
    ['cluster-name', 'clusterName'],
    ['CLUSTERNAME', 'clusterName'],
    ['partitions', undefined],
    ['partition', 'partitionCount'],
    ['minsync', 'minSynced'],
    ['cluster', 'clusterName'],
    ['zzz', undefined],
    ['', undefined],
    ['---', undefined],
  ])('to %j is %j', (name, expected) => {
    expect(nearest(name, names)).toBe(expected);
  });

  it('is the name itself when it is right', () => {
    for (const name of names) expect(nearest(name, names)).toBe(name);
  });

  it('is not looked for when the name is very long', () => {
    expect(nearest('port'.repeat(100_000), names)).toBeUndefined();
  });
});
