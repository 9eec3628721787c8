/**
 * What happened in a simulation, event by event: the guard of determinism (two runs of one seed have equal
 * digests) and the trace that a person reads. Written by the simulated clocks and network. Invariant: nothing
 * is hashed or kept that depends on the machine, so equal seeds give equal digests everywhere.
 */

export interface JournalOptions {
  /** True keeps every event as a line; false (the default) keeps only the running digest. */
  readonly keepLines?: boolean;
}

const timeAsDouble = new Float64Array(1);
const timeAsWords = new Uint32Array(timeAsDouble.buffer);

export class Journal {
  /** One line an event, in order; empty unless `keepLines` was asked for. */
  readonly lines: string[] = [];
  readonly #keepLines: boolean;
  #count = 0;
  #low = 0x243f6a88;
  #high = 0x13198a2e | 0;

  constructor(options: JournalOptions = {}) {
    this.#keepLines = options.keepLines ?? false;
  }

  /** Events recorded so far. */
  get count(): number {
    return this.#count;
  }

  /**
   * Adds one event of `node` at virtual `timeMs`. `subject` says to what it happened; a frame adds its size
   * and the hash of its bytes. Strings are passed apart so that nothing is concatenated for a mere digest.
   */
  record(timeMs: number, node: string, event: string, subject = '', sizeBytes = -1, hash = 0): void {
    this.#count++;
    timeAsDouble[0] = timeMs;
    this.#mix(timeAsWords[0]!);
    this.#mix(timeAsWords[1]!);
    this.#mix(hashText(node));
    this.#mix(hashText(event));
    this.#mix(hashText(subject));
    this.#mix(sizeBytes);
    this.#mix(hash);
    if (this.#keepLines) this.lines.push(formatLine(timeMs, node, event, subject, sizeBytes, hash));
  }

  /** 64 bits of hash over all events so far, as 16 hex digits. */
  digest(): string {
    return hex(finish(this.#low ^ this.#count)) + hex(finish(this.#high ^ this.#count));
  }

  #mix(word: number): void {
    let first = Math.imul(word, 0xcc9e2d51);
    first = Math.imul((first << 15) | (first >>> 17), 0x1b873593);
    const low = this.#low ^ first;
    this.#low = (Math.imul((low << 13) | (low >>> 19), 5) + 0xe6546b64) | 0;
    let second = Math.imul(word, 0x239b961b);
    second = Math.imul((second << 16) | (second >>> 16), 0x38b34ae5);
    const high = this.#high ^ second;
    this.#high = (Math.imul((high << 17) | (high >>> 15), 5) + 0x561ccd1b) | 0;
  }
}

/** Murmur3 (x86, 32 bits) of a frame. Meant for fresh copies, whose memory is aligned; others are hashed by byte. */
export function hashBytes(bytes: Uint8Array): number {
  let hash = bytes.length | 0;
  let at = 0;
  if (bytes.byteOffset % 4 === 0) {
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
    for (let i = 0; i < words.length; i++) hash = mixWord(hash, words[i]!);
    at = words.length * 4;
  } else {
    for (; at + 4 <= bytes.length; at += 4) {
      const word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
      hash = mixWord(hash, word);
    }
  }
  let tail = 0;
  for (let shift = 0; at < bytes.length; at++, shift += 8) tail |= bytes[at]! << shift;
  return finish(mixWord(hash, tail));
}

/** The first line in which two journals differ, with both texts; undefined when they are equal. */
export function firstDifference(a: Journal, b: Journal): { line: number; a: string; b: string } | undefined {
  const length = Math.max(a.lines.length, b.lines.length);
  for (let i = 0; i < length; i++) {
    if (a.lines[i] !== b.lines[i]) return { line: i + 1, a: a.lines[i] ?? '(end)', b: b.lines[i] ?? '(end)' };
  }
  return undefined;
}

function formatLine(
  timeMs: number,
  node: string,
  event: string,
  subject: string,
  sizeBytes: number,
  hash: number,
): string {
  const about = subject === '' ? '' : ` ${subject}`;
  const frame = sizeBytes < 0 ? '' : ` size=${sizeBytes} hash=${hex(hash)}`;
  return `${timeMs.toFixed(6)} ${node} ${event}${about}${frame}`;
}

function mixWord(hash: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
  const mixed = hash ^ k;
  return (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe6546b64) | 0;
}

function finish(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash;
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0');
}
