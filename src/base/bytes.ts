/**
 * Growing writer and checked reader over bytes, little endian. The reader treats its input as hostile: every
 * length is checked before anything is allocated, and a violation is a `ProtocolError`. Used by all codecs.
 */
import { ProtocolError } from './errors.js';

const f64 = new Float64Array(1);
const f64Bytes = new Uint8Array(f64.buffer);

const MAX_KEPT_BYTES = 32;
/** A power of two. A name whose place is taken by another one replaces it. */
const KEPT_NAMES = 256;
const kept: string[] = new Array<string>(KEPT_NAMES).fill('');

/** Bytes that are no UTF-8 are refused: decoded leniently they would be another text, and a longer one, when sent on. */
function wellFormed(bytes: Buffer, at: number, size: number): string {
  const text = bytes.toString('utf8', at, at + size);
  if (text.includes('\ufffd') && !Buffer.from(text, 'utf8').equals(bytes.subarray(at, at + size)))
    throw new ProtocolError('text that is not UTF-8');
  return text;
}

/** Only ASCII is kept, so that each byte is a character. */
function keptName(bytes: Buffer, at: number, size: number): string {
  let hash = size;
  for (let i = 0; i < size; i++) hash = (Math.imul(hash, 31) + (bytes[at + i] as number)) | 0;
  const place = (hash ^ (hash >>> 8)) & (KEPT_NAMES - 1);
  const known = kept[place] as string;
  if (known.length === size) {
    let i = 0;
    while (i < size && known.charCodeAt(i) === bytes[at + i]) i++;
    if (i === size) return known;
  }
  const name = wellFormed(bytes, at, size);
  if (/^[\x20-\x7e]*$/.test(name)) kept[place] = name;
  return name;
}

/** A text for bytes, by which tables find them: the same for the same bytes, and for no others. */
export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

/** From here on, new memory costs less than a copy. */
const HANDED_OVER_BYTES = 8 * 1024;

export class Writer {
  buffer: Buffer;
  length = 0;

  constructor(capacityBytes = 256) {
    this.buffer = Buffer.allocUnsafeSlow(capacityBytes);
  }

  ensure(moreBytes: number): void {
    const need = this.length + moreBytes;
    if (need <= this.buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(need, this.buffer.length * 2));
    this.buffer.copy(grown, 0, 0, this.length);
    this.buffer = grown;
  }

  u8(value: number): void {
    this.ensure(1);
    this.buffer[this.length++] = value;
  }

  u16(value: number): void {
    this.ensure(2);
    const { buffer, length } = this;
    buffer[length] = value;
    buffer[length + 1] = value >>> 8;
    this.length = length + 2;
  }

  u32(value: number): void {
    this.ensure(4);
    this.patchU32(this.length, value);
    this.length += 4;
  }

  patchU32(at: number, value: number): void {
    const { buffer } = this;
    buffer[at] = value;
    buffer[at + 1] = value >>> 8;
    buffer[at + 2] = value >>> 16;
    buffer[at + 3] = value >>> 24;
  }

  f64(value: number): void {
    this.ensure(8);
    f64[0] = value;
    const { buffer, length } = this;
    for (let i = 0; i < 8; i++) buffer[length + i] = f64Bytes[i] as number;
    this.length = length + 8;
  }

  /** Bytes as they are, without their length. */
  raw(bytes: Uint8Array): void {
    const size = bytes.length;
    this.ensure(size);
    if (size < 32) for (let i = 0; i < size; i++) this.buffer[this.length + i] = bytes[i] as number;
    else this.buffer.set(bytes, this.length);
    this.length += size;
  }

  /** Bytes behind their u32 length. */
  bytes(bytes: Uint8Array): void {
    this.u32(bytes.length);
    this.raw(bytes);
  }

  /** UTF-8 behind its u32 length. */
  string(text: string): void {
    const size = text.length;
    this.ensure(4 + size * 3);
    if (size < 48) {
      const { buffer } = this;
      const start = this.length + 4;
      let i = 0;
      for (; i < size; i++) {
        const unit = text.charCodeAt(i);
        if (unit > 0x7f) break;
        buffer[start + i] = unit;
      }
      if (i === size) {
        this.patchU32(this.length, size);
        this.length = start + size;
        return;
      }
    }
    const written = this.buffer.write(text, this.length + 4, 'utf8');
    this.patchU32(this.length, written);
    this.length += 4 + written;
  }

  /** A copy of what was written. */
  toBytes(): Buffer {
    // From Node's pool when it is short: memory of its own costs more than the copy.
    const copy = Buffer.allocUnsafe(this.length);
    this.buffer.copy(copy, 0, 0, this.length);
    return copy;
  }

  /** What was written, to whoever may keep it; the writer begins anew. Much is not copied. */
  take(): Buffer {
    const { buffer, length } = this;
    if (length < HANDED_OVER_BYTES || length * 2 < buffer.length) {
      const copy = this.toBytes();
      this.length = 0;
      return copy;
    }
    this.buffer = Buffer.allocUnsafeSlow(buffer.length);
    this.length = 0;
    return buffer.subarray(0, length);
  }

  reset(): void {
    this.length = 0;
  }
}

export class Reader {
  readonly bytes: Buffer;
  offset: number;
  end: number;

  constructor(bytes: Uint8Array, offset = 0, end = bytes.length) {
    this.bytes = Buffer.isBuffer(bytes)
      ? bytes
      : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.offset = offset;
    this.end = end;
  }

  get remaining(): number {
    return this.end - this.offset;
  }

  #take(sizeBytes: number): number {
    const at = this.offset;
    if (sizeBytes > this.end - at)
      throw new ProtocolError(`truncated: ${sizeBytes} bytes wanted, ${this.end - at} left`);
    this.offset = at + sizeBytes;
    return at;
  }

  u8(): number {
    return this.bytes[this.#take(1)] as number;
  }

  u16(): number {
    const at = this.#take(2);
    return (this.bytes[at] as number) | ((this.bytes[at + 1] as number) << 8);
  }

  u32(): number {
    const at = this.#take(4);
    const { bytes } = this;
    return (
      ((bytes[at] as number) |
        ((bytes[at + 1] as number) << 8) |
        ((bytes[at + 2] as number) << 16) |
        ((bytes[at + 3] as number) << 24)) >>>
      0
    );
  }

  f64(): number {
    const at = this.#take(8);
    for (let i = 0; i < 8; i++) f64Bytes[i] = this.bytes[at + i] as number;
    return f64[0] as number;
  }

  /** A view of the next bytes; the caller copies what it keeps beyond the frame. */
  raw(sizeBytes: number): Buffer {
    const at = this.#take(sizeBytes);
    return this.bytes.subarray(at, at + sizeBytes);
  }

  /** A view of bytes behind their u32 length. */
  blob(maxBytes: number): Buffer {
    const size = this.u32();
    if (size > maxBytes)
      throw new ProtocolError(`too large: ${size} bytes where at most ${maxBytes} are allowed`);
    return this.raw(size);
  }

  string(maxBytes: number): string {
    const size = this.u32();
    if (size > maxBytes)
      throw new ProtocolError(`too large: text of ${size} bytes where at most ${maxBytes} are allowed`);
    const at = this.#take(size);
    return wellFormed(this.bytes, at, size);
  }

  /**
   * The same for a text that recurs, as names of structures do: a short one is decoded once, and who looks it up in
   * a `Map` gets the very same string each time, whose hash is known.
   */
  name(maxBytes: number): string {
    const size = this.u32();
    if (size > maxBytes)
      throw new ProtocolError(`too large: text of ${size} bytes where at most ${maxBytes} are allowed`);
    const at = this.#take(size);
    return size > MAX_KEPT_BYTES ? wellFormed(this.bytes, at, size) : keptName(this.bytes, at, size);
  }

  /** Asserts that a whole body was read. */
  finish(): void {
    if (this.offset !== this.end) throw new ProtocolError(`${this.end - this.offset} bytes too many`);
  }
}
