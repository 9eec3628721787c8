import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { murmur3, partitionOf } from '../../partitions/hash.js';

const ascii = (text: string) => new Uint8Array(Buffer.from(text));

describe('murmur3', () => {
  it.each([
    ['', 0, 0],
    ['', 1, 0x514e28b7],
    ['', 0xffffffff, 0x81f16f39],
    ['test', 0, 0xba6bd213],
    ['test', 0x9747b28c, 0x704b81dc],
    ['Hello, world!', 0, 0xc0363e43],
    ['Hello, world!', 0x9747b28c, 0x24884cba],
    ['The quick brown fox jumps over the lazy dog', 0, 0x2e4ff723],
    ['The quick brown fox jumps over the lazy dog', 0x9747b28c, 0x2fa826cd],
    ['aaaa', 0x9747b28c, 0x5a97808a],
    ['aaa', 0x9747b28c, 0x283e0130],
    ['aa', 0x9747b28c, 0x5d211726],
    ['a', 0x9747b28c, 0x7fa09ea6],
    ['abc', 0, 0xb3dd93fa],
  ])('gives the published hash of "%s" with seed %i', (text, seed, hash) => {
    expect(murmur3(ascii(text), seed)).toBe(hash);
  });

  it.each([
    [[0xff, 0xff, 0xff, 0xff], 0, 0x76293b50],
    [[0x21, 0x43, 0x65, 0x87], 0, 0xf55b516b],
    [[0x21, 0x43, 0x65, 0x87], 0x5082edee, 0x2362f9de],
    [[0x21, 0x43, 0x65], 0, 0x7e4a8634],
    [[0x21, 0x43], 0, 0xa0f7b07a],
    [[0x21], 0, 0x72661cf4],
    [[0, 0, 0, 0], 0, 0x2362f9de],
    [[0, 0, 0], 0, 0x85f0b427],
    [[0, 0], 0, 0x30f4c306],
    [[0], 0, 0x514e28b7],
  ])('gives the published hash of bytes %j with seed %i', (bytes, seed, hash) => {
    expect(murmur3(Uint8Array.from(bytes), seed)).toBe(hash);
  });

  it('passes the verification of the SMHasher test suite', () => {
    const key = new Uint8Array(256);
    const hashes = Buffer.alloc(256 * 4);
    for (let i = 0; i < 256; i++) {
      key[i] = i;
      hashes.writeUInt32LE(murmur3(key.subarray(0, i), 256 - i), i * 4);
    }
    expect(murmur3(hashes, 0)).toBe(0xb0f57ee3);
  });

  it('depends on the bytes alone, not on where in a buffer they lie', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat(9), (bytes, offset) => {
        const shifted = new Uint8Array(bytes.length + offset + 3).fill(0xa5);
        shifted.set(bytes, offset);
        expect(murmur3(shifted.subarray(offset, offset + bytes.length))).toBe(murmur3(bytes));
      }),
    );
  });
});

describe('partitionOf', () => {
  it('treats the hash as unsigned', () => {
    expect(partitionOf(0xffffffff, 271)).toBe(0xffffffff % 271);
    expect(partitionOf(-1, 271)).toBe(0xffffffff % 271);
  });

  it('spreads keys evenly over the partitions', () => {
    const counts = new Array<number>(271).fill(0);
    for (let i = 0; i < 271_000; i++) counts[partitionOf(murmur3(ascii(`user:${i}`)), 271)]! += 1;
    expect(Math.min(...counts)).toBeGreaterThan(800);
    expect(Math.max(...counts)).toBeLessThan(1_200);
  });
});
