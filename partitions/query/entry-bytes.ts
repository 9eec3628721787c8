/**
 * An entry that is decoded when somebody asks for its key or its value, with the codec that all members have. One object serves
 * a whole scan. Called by matchers and by what reads fields of entries.
 */
import { ValueNotReadableError } from '../../src/base/errors.js';
import { reasonOf } from '../../src/base/reason.js';
import { AffinityKey, decodeKey } from '../../src/wire/keys.js';
import { ValueCodec } from '../../src/wire/values.js';
import type { Entry } from './paths.js';

const NOT_YET = Symbol('not decoded');
const NO_BYTES = new Uint8Array(0);
/** Members have no serializer of users. */
const codec = new ValueCodec();

export class EntryBytes implements Entry {
  #keyBytes: Uint8Array = NO_BYTES;
  #valueBytes: Uint8Array = NO_BYTES;
  #key: unknown = NOT_YET;
  #value: unknown = NOT_YET;

  /** The same object, for this entry from now on; the bytes are not kept beyond `forget`. */
  of(keyBytes: Uint8Array, valueBytes: Uint8Array): this {
    this.#keyBytes = keyBytes;
    this.#valueBytes = valueBytes;
    this.#key = NOT_YET;
    this.#value = NOT_YET;
    return this;
  }

  /** As they were given. */
  get keyBytes(): Uint8Array {
    return this.#keyBytes;
  }

  get valueBytes(): Uint8Array {
    return this.#valueBytes;
  }

  /** Lets go of what it holds. */
  forget(): void {
    this.of(NO_BYTES, NO_BYTES);
  }

  /** A key with affinity is the key alone here. */
  get key(): unknown {
    if (this.#key === NOT_YET) this.#key = decodedKey(this.#keyBytes);
    return this.#key;
  }

  get value(): unknown {
    if (this.#value === NOT_YET) this.#value = decodedValue(this.#valueBytes);
    return this.#value;
  }
}

function decodedKey(bytes: Uint8Array): unknown {
  try {
    const key = decodeKey(bytes);
    return key instanceof AffinityKey ? key.key : key;
  } catch (cause) {
    throw new ValueNotReadableError('a key of the map cannot be decoded', { cause });
  }
}

export function decodedValue(bytes: Uint8Array): unknown {
  try {
    return codec.decode(bytes);
  } catch (cause) {
    const why = reasonOf(cause);
    throw new ValueNotReadableError(
      `a value of the map cannot be decoded by members (${why}); ask by __key alone, store what is asked for without a serializer, or filter while iterating`,
      { cause },
    );
  }
}

/** What members give back that is no stored value: parts of values, and results of aggregators. */
export function encodedResult(value: unknown): Uint8Array {
  return codec.encode(value);
}
