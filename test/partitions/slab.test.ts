import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Slab } from '../../partitions/store/slab.js';

const MIB = 1024 * 1024;

interface Cell {
  ref: number;
  fill: number;
}

function fillCell(slab: Slab, cell: Cell): void {
  const from = slab.byteOffset(cell.ref);
  slab.bytes(cell.ref).fill(cell.fill, from, from + slab.cellBytes(cell.ref));
}

function isIntact(slab: Slab, cell: Cell): boolean {
  const from = slab.byteOffset(cell.ref);
  const bytes = slab.bytes(cell.ref).subarray(from, from + slab.cellBytes(cell.ref));
  return bytes.every((byte) => byte === cell.fill);
}

const sizeBytes = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 1, max: 300 }) },
  { weight: 3, arbitrary: fc.integer({ min: 300, max: 5000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 60_000, max: 80_000 }) },
);
/** Allocate so many bytes, or free the cell at this fraction of the live ones. */
const step = fc.oneof(
  { weight: 3, arbitrary: sizeBytes.map((size) => ({ size, at: 0 })) },
  { weight: 2, arbitrary: fc.double({ min: 0, max: 0.999, noNaN: true }).map((at) => ({ size: 0, at })) },
);

describe('Slab', () => {
  it('never overlaps live cells and takes everything back', () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 300, size: 'max' }),
        fc.constantFrom(4096, 65_536, 4 * MIB),
        (steps, blockBytes) => {
          const slab = new Slab({ blockBytes });
          const live: Cell[] = [];
          let usedBytes = 0;
          steps.forEach(({ size, at }, i) => {
            if (size > 0) {
              const cell = { ref: slab.allocate(size), fill: i % 256 };
              expect(slab.cellBytes(cell.ref)).toBeGreaterThanOrEqual(size);
              usedBytes += slab.cellBytes(cell.ref);
              fillCell(slab, cell);
              live.push(cell);
            } else if (live.length > 0) {
              const [cell] = live.splice(Math.floor(at * live.length), 1);
              expect(isIntact(slab, cell!)).toBe(true);
              usedBytes -= slab.cellBytes(cell!.ref);
              slab.free(cell!.ref);
            }
            expect(slab.usedBytes).toBe(usedBytes);
          });
          expect(slab.reservedBytes).toBeGreaterThanOrEqual(slab.usedBytes);
          expect(new Set(live.map((cell) => cell.ref)).size).toBe(live.length);
          for (const cell of live) expect(isIntact(slab, cell)).toBe(true);
          for (const cell of live) slab.free(cell.ref);
          expect(slab.usedBytes).toBe(0);
          expect(slab.reservedBytes).toBeLessThanOrEqual(2 * blockBytes);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('wastes at most an eighth and one unit in a cell, and predicts when a size fits one', () => {
    const slab = new Slab();
    let previous = slab.allocate(1);
    let previousSize = 1;
    for (let size = 1; size < 140_000; size = Math.ceil(size * 1.01) + 1) {
      const ref = slab.allocate(size);
      const cell = slab.cellBytes(ref);
      expect(cell).toBeGreaterThanOrEqual(size);
      expect(cell).toBeLessThanOrEqual(size * 1.125 + 16);
      expect(slab.fits(ref, size)).toBe(true);
      expect(slab.fits(ref, cell)).toBe(true);
      expect(slab.fits(ref, cell + 1)).toBe(false);
      if (size > 32) expect(slab.fits(ref, Math.floor(size / 2))).toBe(false);
      if (size <= 65_536) expect(slab.fits(previous, size)).toBe(slab.cellBytes(previous) === cell);
      if (size <= 65_536) expect(slab.fits(ref, previousSize)).toBe(slab.cellBytes(previous) === cell);
      previous = ref;
      previousSize = size;
    }
  });

  it('costs nothing while empty and little with one cell', () => {
    const slab = new Slab();
    expect(slab.reservedBytes).toBe(0);
    const ref = slab.allocate(100);
    expect(ref).toBeGreaterThan(0);
    expect(slab.reservedBytes).toBeLessThanOrEqual(64 * 1024);
  });

  it('gives a freed cell to the next allocation of its class', () => {
    const slab = new Slab();
    const refs = Array.from({ length: 100 }, () => slab.allocate(200));
    const reservedBytes = slab.reservedBytes;
    const freed = refs.filter((_, i) => i % 3 === 0);
    for (const ref of freed) slab.free(ref);
    const again = freed.map(() => slab.allocate(195));
    expect(again.sort()).toEqual(freed.sort());
    expect(slab.reservedBytes).toBe(reservedBytes);
  });

  it('does not grow when the sizes of the records keep changing', () => {
    const slab = new Slab({ blockBytes: 256 * 1024 });
    let highestBytes = 0;
    for (let round = 0; round < 60; round++) {
      const size = 16 + round * 37;
      const refs = Array.from({ length: Math.ceil(MIB / size) }, () => slab.allocate(size));
      highestBytes = Math.max(highestBytes, slab.reservedBytes);
      for (const ref of refs) slab.free(ref);
    }
    expect(slab.usedBytes).toBe(0);
    expect(highestBytes).toBeLessThan(2.5 * MIB);
  });

  it('keeps free space bounded under steady churn of mixed sizes', () => {
    const slab = new Slab({ blockBytes: 256 * 1024 });
    let state = 1;
    const next = (below: number) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return (state >>> 8) % below;
    };
    const live = Array.from({ length: 30_000 }, () => slab.allocate(80 + next(400)));
    for (let i = 0; i < 200_000; i++) {
      const at = next(live.length);
      slab.free(live[at]!);
      live[at] = slab.allocate(80 + next(400));
    }
    expect(slab.reservedBytes).toBeLessThan(slab.usedBytes * 1.35);
  });

  it('keeps cells apart while blocks of one class fill up and empty in any order', () => {
    const slab = new Slab({ blockBytes: 4096 });
    let state = 7;
    const next = (below: number) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return (state >>> 8) % below;
    };
    const live: Cell[] = [];
    for (let i = 0; i < 20_000; i++) {
      const wanted = 100 + 100 * Math.sin(i / 300);
      if (live.length < wanted) {
        const cell = { ref: slab.allocate(1000 - next(2) * 500), fill: i % 251 };
        fillCell(slab, cell);
        live.push(cell);
      } else {
        const [cell] = live.splice(next(live.length), 1);
        expect(isIntact(slab, cell!)).toBe(true);
        slab.free(cell!.ref);
      }
    }
    for (const cell of live) slab.free(cell.ref);
    expect(slab.usedBytes).toBe(0);
    expect(slab.reservedBytes).toBeLessThanOrEqual(2 * 4096);
  });

  it('holds no buffer of a block that it dropped', () => {
    const slab = new Slab({ blockBytes: 4096 });
    const refs = Array.from({ length: 100 }, () => slab.allocate(1024));
    for (const ref of refs) slab.free(ref);
    const kept = new Set(
      refs.map((ref) => slab.bytes(ref).buffer).filter((buffer) => buffer.byteLength === 4096),
    );
    const keptWords = new Set(refs.map((ref) => slab.words(ref).buffer).filter((b) => b.byteLength === 4096));
    expect(slab.reservedBytes).toBe(2 * 4096);
    expect([kept.size, keptWords.size]).toEqual([2, 2]);
  });

  it('gives large values buffers of their own and lets go of them', () => {
    const slab = new Slab();
    const a = slab.allocate(100_001);
    const b = slab.allocate(3 * MIB);
    expect(slab.usedBytes).toBe(100_004 + 3 * MIB);
    expect(slab.reservedBytes).toBe(slab.usedBytes);
    expect(slab.bytes(a).buffer).not.toBe(slab.bytes(b).buffer);
    slab.words(a)[slab.wordOffset(a)] = 0x01020304;
    expect(slab.bytes(a).readUInt32LE(slab.byteOffset(a))).toBe(0x01020304);
    slab.free(a);
    expect(() => slab.free(a)).toThrow(/not live/);
    expect(slab.allocate(70_000)).toBe(a);
    slab.free(a);
    slab.free(b);
    expect(slab.reservedBytes).toBe(0);
  });

  it('refuses block sizes that its refs cannot address', () => {
    for (const blockBytes of [0, 1024, 5000, 8 * MIB])
      expect(() => new Slab({ blockBytes })).toThrow(/blockBytes/);
  });
});
