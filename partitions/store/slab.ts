/**
 * The memory that the records of one member live in. Cells are cut out of large blocks, so the garbage
 * collector sees a few buffers instead of millions of objects. Invariants: a block holds cells of one size
 * class; a block without a live cell goes back to a small pool, and from there to the collector; a ref is
 * never 0. Called by the record stores of all partitions, which share one slab.
 */

import { assert } from '../../src/base/assert.js';

/** Cells start at multiples of this, and their sizes are multiples of it. */
const UNIT_BYTES = 16;
const UNIT_WORDS = UNIT_BYTES / 4;
/** A ref is (block id << 18 | unit within the block): ids below 2^13 keep it a small integer for the engine. */
const UNIT_BITS = 18;
const UNIT_MASK = (1 << UNIT_BITS) - 1;
const MAX_BLOCK_BYTES = UNIT_BYTES << UNIT_BITS;
const MAX_BLOCKS = 1 << (31 - UNIT_BITS);
/** Refs from here on are (this + id of a cell that has a buffer of its own). */
const LARGE_BASE = 2 ** 31;
const FIRST_BLOCK_BYTES = 64 * 1024;
const MAX_CELL_BYTES = 64 * 1024;
const MIN_CELLS_PER_BLOCK = 4;

interface Block {
  readonly id: number;
  readonly bytes: Buffer;
  readonly words: Uint32Array;
  sizeClass: number;
  cellUnits: number;
  cells: number;
  live: number;
  /** Unit of the first freed cell plus one, 0 for none; word 0 of a freed cell continues the list. */
  freeHead: number;
  /** Unit of the first cell that was never used. */
  nextUnit: number;
  /** Place in its class's list of blocks with room; -1 when full or pooled. */
  roomAt: number;
}

/**
 * Eight classes per doubling, so a cell is at most 1/8 larger than asked for (and at least a unit).
 * Entry c is the size of class c in units.
 */
const CLASS_UNITS: readonly number[] = (() => {
  const units: number[] = [];
  for (let size = 1, step = 1; size * UNIT_BYTES <= MAX_CELL_BYTES; size += step) {
    units.push(size);
    if (size >= 16 && (size & (size - 1)) === 0) step = size / 8;
  }
  return units;
})();

const CLASS_OF_UNITS: Uint8Array = (() => {
  const table = new Uint8Array(MAX_CELL_BYTES / UNIT_BYTES + 1);
  let sizeClass = 0;
  for (let units = 0; units < table.length; units++) {
    if (units > CLASS_UNITS[sizeClass]!) sizeClass++;
    table[units] = sizeClass;
  }
  return table;
})();

function classOf(sizeBytes: number): number {
  return CLASS_OF_UNITS[(sizeBytes + UNIT_BYTES - 1) >>> 4]!;
}

function floorPowerOfTwo(n: number): number {
  return n < 1 ? 0 : 1 << (31 - Math.clz32(n));
}

export interface SlabOptions {
  /** Size of the blocks of a busy size class: a power of two from 4 KiB to 4 MiB, which is the default. */
  readonly blockBytes?: number;
}

export class Slab {
  /** By block id; a separate array for each view saves a hop on every access. */
  readonly #blockWords: Uint32Array[] = [];
  readonly #blockBytes: Buffer[] = [];
  readonly #blocks: (Block | undefined)[] = [];
  readonly #freeBlockIds: number[] = [];

  readonly #largeWords: (Uint32Array | undefined)[] = [];
  readonly #largeBytes: (Buffer | undefined)[] = [];
  readonly #freeLargeIds: number[] = [];

  /** Per class: the blocks with a free cell, and the bytes of all its blocks. */
  readonly #withRoom: Block[][] = CLASS_UNITS.map(() => []);
  readonly #classBytes: number[] = CLASS_UNITS.map(() => 0);
  readonly #pool: Block[] = [];
  readonly #maxBlockBytes: number;
  readonly #maxCellBytes: number;
  #pooledBytes = 0;
  #usedBytes = 0;
  #reservedBytes = 0;

  constructor(options: SlabOptions = {}) {
    const blockBytes = options.blockBytes ?? MAX_BLOCK_BYTES;
    const valid =
      blockBytes >= 4096 && blockBytes <= MAX_BLOCK_BYTES && floorPowerOfTwo(blockBytes) === blockBytes;
    assert(valid, 'blockBytes must be a power of two from 4 KiB to 4 MiB');
    this.#maxBlockBytes = blockBytes;
    this.#maxCellBytes = Math.min(MAX_CELL_BYTES, blockBytes / MIN_CELLS_PER_BLOCK);
    // Block 0 is left out, so that no cell has ref 0 and an index may use 0 for "empty".
    this.#blockWords.push(new Uint32Array(0));
    this.#blockBytes.push(Buffer.alloc(0));
    this.#blocks.push(undefined);
  }

  /** Bytes of all live cells, rounded up to their size classes. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Bytes of all buffers, with free cells and the pool of empty blocks. */
  get reservedBytes(): number {
    return this.#reservedBytes;
  }

  /** A cell of at least `sizeBytes` with undefined contents. The ref is an integer in [1, 2^32). */
  allocate(sizeBytes: number): number {
    if (sizeBytes > this.#maxCellBytes) return this.#allocateLarge(sizeBytes);
    const sizeClass = classOf(sizeBytes);
    const withRoom = this.#withRoom[sizeClass]!;
    const block = withRoom.length > 0 ? withRoom[withRoom.length - 1]! : this.#addBlock(sizeClass);
    let unit: number;
    if (block.freeHead !== 0) {
      unit = block.freeHead - 1;
      block.freeHead = block.words[unit * UNIT_WORDS]!;
    } else {
      unit = block.nextUnit;
      block.nextUnit = unit + block.cellUnits;
    }
    block.live++;
    this.#usedBytes += block.cellUnits * UNIT_BYTES;
    if (block.live === block.cells) {
      withRoom.pop();
      block.roomAt = -1;
    }
    return (block.id << UNIT_BITS) | unit;
  }

  /** Gives a cell back; its ref and every view of it are void from now on. */
  free(ref: number): void {
    if (ref >= LARGE_BASE) {
      this.#freeLarge(ref - LARGE_BASE);
      return;
    }
    const block = this.#blocks[ref >>> UNIT_BITS];
    assert(block !== undefined && block.live > 0, 'free of a cell that is not live');
    const unit = ref & UNIT_MASK;
    block.live--;
    this.#usedBytes -= block.cellUnits * UNIT_BYTES;
    if (block.live === 0) {
      this.#retire(block);
      return;
    }
    block.words[unit * UNIT_WORDS] = block.freeHead;
    block.freeHead = unit + 1;
    if (block.roomAt < 0) {
      const withRoom = this.#withRoom[block.sizeClass]!;
      block.roomAt = withRoom.length;
      withRoom.push(block);
    }
  }

  /** Whether `allocate(sizeBytes)` would return a cell of this one's size, so that it can be written in place. */
  fits(ref: number, sizeBytes: number): boolean {
    if (ref >= LARGE_BASE) {
      const cellBytes = this.#largeBytes[ref - LARGE_BASE]!.length;
      return sizeBytes > this.#maxCellBytes && sizeBytes <= cellBytes && sizeBytes >= cellBytes * 0.875;
    }
    return (
      sizeBytes <= this.#maxCellBytes && classOf(sizeBytes) === this.#blocks[ref >>> UNIT_BITS]!.sizeClass
    );
  }

  /** The 32-bit words that the cell lies in, from index `wordOffset(ref)` on. */
  words(ref: number): Uint32Array {
    return ref < LARGE_BASE ? this.#blockWords[ref >>> UNIT_BITS]! : this.#largeWords[ref - LARGE_BASE]!;
  }

  wordOffset(ref: number): number {
    return ref < LARGE_BASE ? (ref & UNIT_MASK) * UNIT_WORDS : 0;
  }

  /** The bytes that the cell lies in, from index `byteOffset(ref)` on. Never write outside the cell. */
  bytes(ref: number): Buffer {
    return ref < LARGE_BASE ? this.#blockBytes[ref >>> UNIT_BITS]! : this.#largeBytes[ref - LARGE_BASE]!;
  }

  byteOffset(ref: number): number {
    return ref < LARGE_BASE ? (ref & UNIT_MASK) * UNIT_BYTES : 0;
  }

  /** Real size of the cell, at least what was asked for. */
  cellBytes(ref: number): number {
    if (ref >= LARGE_BASE) return this.#largeBytes[ref - LARGE_BASE]!.length;
    return this.#blocks[ref >>> UNIT_BITS]!.cellUnits * UNIT_BYTES;
  }

  #allocateLarge(sizeBytes: number): number {
    const bytes = Buffer.allocUnsafeSlow(Math.ceil(sizeBytes / 4) * 4);
    const id = this.#freeLargeIds.pop() ?? this.#largeBytes.length;
    this.#largeBytes[id] = bytes;
    this.#largeWords[id] = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    this.#usedBytes += bytes.length;
    this.#reservedBytes += bytes.length;
    return LARGE_BASE + id;
  }

  #freeLarge(id: number): void {
    const bytes = this.#largeBytes[id];
    assert(bytes !== undefined, 'free of a cell that is not live');
    this.#usedBytes -= bytes.length;
    this.#reservedBytes -= bytes.length;
    this.#largeBytes[id] = undefined;
    this.#largeWords[id] = undefined;
    this.#freeLargeIds.push(id);
  }

  /** Readies a block for a class and puts it on the list of those with room. */
  #addBlock(sizeClass: number): Block {
    const cellUnits = CLASS_UNITS[sizeClass]!;
    const block = this.#takeBlock(this.#nextBlockBytes(sizeClass));
    block.sizeClass = sizeClass;
    block.cellUnits = cellUnits;
    block.cells = Math.floor(block.bytes.length / (cellUnits * UNIT_BYTES));
    block.freeHead = 0;
    block.nextUnit = 0;
    this.#classBytes[sizeClass]! += block.bytes.length;
    const withRoom = this.#withRoom[sizeClass]!;
    block.roomAt = withRoom.length;
    withRoom.push(block);
    return block;
  }

  /** Blocks grow with their class, so that a class that is hardly used costs little. */
  #nextBlockBytes(sizeClass: number): number {
    const growth = floorPowerOfTwo(Math.min(this.#classBytes[sizeClass]! / 4, this.#maxBlockBytes));
    const enough = floorPowerOfTwo(CLASS_UNITS[sizeClass]! * UNIT_BYTES * MIN_CELLS_PER_BLOCK * 2 - 1);
    return Math.min(Math.max(growth, enough, FIRST_BLOCK_BYTES), this.#maxBlockBytes);
  }

  #takeBlock(blockBytes: number): Block {
    for (let i = this.#pool.length - 1; i >= 0; i--) {
      const pooled = this.#pool[i]!;
      if (pooled.bytes.length !== blockBytes) continue;
      this.#pool.splice(i, 1);
      this.#pooledBytes -= blockBytes;
      return pooled;
    }
    const id = this.#freeBlockIds.pop() ?? this.#blocks.length;
    assert(id < MAX_BLOCKS, 'the record store of this member is full (32 GiB of cells)');
    const buffer = new ArrayBuffer(blockBytes);
    const bytes = Buffer.from(buffer);
    const words = new Uint32Array(buffer);
    const fresh = { sizeClass: 0, cellUnits: 0, cells: 0, live: 0, freeHead: 0, nextUnit: 0, roomAt: -1 };
    const block: Block = { id, bytes, words, ...fresh };
    this.#blocks[id] = block;
    this.#blockWords[id] = words;
    this.#blockBytes[id] = bytes;
    this.#reservedBytes += blockBytes;
    return block;
  }

  /** Takes a block without live cells out of its class; the pool spares a new buffer when sizes swing. */
  #retire(block: Block): void {
    const withRoom = this.#withRoom[block.sizeClass]!;
    if (block.roomAt >= 0) {
      const last = withRoom.pop()!;
      if (last !== block) {
        withRoom[block.roomAt] = last;
        last.roomAt = block.roomAt;
      }
      block.roomAt = -1;
    }
    this.#classBytes[block.sizeClass]! -= block.bytes.length;
    this.#pool.push(block);
    this.#pooledBytes += block.bytes.length;
    while (this.#pooledBytes > this.#maxBlockBytes * 2) this.#drop(this.#pool.shift()!);
  }

  #drop(block: Block): void {
    this.#pooledBytes -= block.bytes.length;
    this.#reservedBytes -= block.bytes.length;
    this.#blocks[block.id] = undefined;
    this.#blockWords[block.id] = this.#blockWords[0]!;
    this.#blockBytes[block.id] = this.#blockBytes[0]!;
    this.#freeBlockIds.push(block.id);
  }
}
