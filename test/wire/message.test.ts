/** Every message and operation there is: numbers, names, and what its decoder does with hostile bytes. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Reader, Writer } from '../../src/base/bytes.js';
import { ProtocolError } from '../../src/base/errors.js';
import { MESSAGES } from '../../src/protocol.js';
import { encodeKey } from '../../src/wire/keys.js';
import { type AnyMessage, FIRST_OPERATION } from '../../src/wire/message.js';
import { DEFINITIONS, OPERATIONS, PLAIN } from './definitions.js';

function read(def: AnyMessage, input: Uint8Array): { body: unknown } | null {
  try {
    return { body: def.read(new Reader(input)) };
  } catch (error) {
    if (error instanceof ProtocolError) return null;
    throw error;
  }
}

function encode(def: AnyMessage, body: unknown): Buffer {
  const writer = new Writer();
  def.write(writer, body);
  return writer.toBytes();
}

/** Beginnings that zeros alone never are: what is a key or a path has to mean something. */
const BEGINNINGS: readonly ((out: Writer) => void)[] = [
  () => {},
  (out) => out.bytes(encodeKey('k')),
  // An index.
  (out) => {
    out.string('i');
    out.u8(0);
    out.u32(1);
    out.string('a');
  },
  // A predicate, a cursor and a path.
  (out) => {
    out.u8(0);
    out.u32(0);
    out.string('a');
  },
];

/** Bytes that decoders get far with: mostly zeros, so that lengths and flags are often valid. */
const plausible = fc
  .tuple(
    fc.constantFrom(...BEGINNINGS),
    fc.integer({ min: 0, max: 300 }),
    fc.array(fc.tuple(fc.nat(60), fc.oneof(fc.nat(2), fc.nat(255))), { maxLength: 5 }),
  )
  .map(([begin, size, changes]) => {
    const bytes = Buffer.alloc(size);
    for (const [at, byte] of changes) if (at < size) bytes[at] = byte;
    const out = new Writer();
    begin(out);
    out.raw(bytes);
    return out.toBytes();
  });

describe('messages and operations', () => {
  it('have numbers of their own, also where two lists meet', () => {
    const ids = [...PLAIN, ...OPERATIONS].map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { id } of PLAIN) expect(id).toBeLessThan(FIRST_OPERATION);
    for (const { id } of OPERATIONS) expect(id).toBeGreaterThanOrEqual(FIRST_OPERATION);
    expect(Math.max(...ids)).toBeLessThanOrEqual(0xffff);
  });

  it('have names of their own and say what they are for', () => {
    const names = [...PLAIN, ...OPERATIONS].map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const { name, doc } of [...PLAIN, ...OPERATIONS]) expect(doc.length, name).toBeGreaterThan(10);
  });

  it('are all in the list of the protocol', () => {
    expect(MESSAGES.map(({ name }) => name).sort()).toEqual(DEFINITIONS.map(({ name }) => name).sort());
  });

  it.each(DEFINITIONS.map((def) => [def.name, def] as const))(
    '%s: hostile bytes are read or refused',
    (_name, def) => {
      let accepted = 0;
      fc.assert(
        fc.property(plausible, (noise) => {
          const first = read(def, noise);
          if (first === null) return;
          accepted++;
          const again = encode(def, first.body);
          expect(read(def, again)?.body).toEqual(first.body);
          for (let size = 0; size < Math.min(again.length, 40); size++) {
            const start = again.subarray(0, size);
            const cut = read(def, start);
            // What a body may end with can be left out, and then that is how the body without it is written.
            if (cut !== null) expect(encode(def, cut.body)).toEqual(start);
          }
        }),
        { numRuns: 120 },
      );
      expect(accepted, 'the noise never was a message: the test says nothing').toBeGreaterThan(0);
    },
  );
});
