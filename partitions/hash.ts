/**
 * Murmur3 x86_32 and the rule that turns a hash into a partition. Every member and client must agree on both,
 * so the result for given bytes never changes. Called by the router of clients and members for each key.
 */

const C1 = 0xcc9e2d51;
const C2 = 0x1b873593;

/** Murmur3 x86_32 of the bytes, in [0, 2^32). `seed` is an unsigned 32-bit number. */
export function murmur3(bytes: Uint8Array, seed = 0): number {
  const size = bytes.length;
  const bodyEnd = size & ~3;
  let hash = seed | 0;
  let i = 0;
  for (; i < bodyEnd; i += 4) {
    const block =
      (bytes[i] as number) |
      ((bytes[i + 1] as number) << 8) |
      ((bytes[i + 2] as number) << 16) |
      ((bytes[i + 3] as number) << 24);
    hash ^= scramble(block);
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  let tail = 0;
  for (let j = size - 1; j >= bodyEnd; j--) tail = (tail << 8) | (bytes[j] as number);
  // Scrambling 0 gives 0, so an absent tail needs no case of its own.
  hash ^= scramble(tail);
  return finish(hash ^ size);
}

function scramble(block: number): number {
  const mixed = Math.imul(block, C1);
  return Math.imul((mixed << 15) | (mixed >>> 17), C2);
}

function finish(hash: number): number {
  let mixed = hash;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** The partition, in [0, partitionCount), of an unsigned hash. */
export function partitionOf(hash: number, partitionCount: number): number {
  return (hash >>> 0) % partitionCount;
}
