/**
 * How keys and values of a map are written in Redis. Invariant: what is written is read again as exactly what it was, and
 * two keys are never written as one; what cannot be is refused before anything is sent. Called by the store.
 */
import { reasonOf } from '../base/reason.js';
import { StoreRefusedError } from '../mapstore/map-store.js';
import { decodeKey, encodeKey } from '../wire/keys.js';
import { isWellFormed } from '../wire/tagged-writer.js';
import { ValueCodec } from '../wire/values.js';
import { whyNotJson } from './exact-json.js';

export type Encoding = 'json' | 'grid';
export type KeyEncoding = 'string' | Encoding;

export interface Codecs {
  keyText(key: unknown): string;
  keyOf(text: string): unknown;
  valueBytes(value: unknown): string | Buffer;
  valueOf(bytes: Buffer): unknown;
}

const KEYS: Readonly<Record<KeyEncoding, Pick<Codecs, 'keyText' | 'keyOf'>>> = {
  string: {
    keyText(key) {
      const advice = 'for other keys give redisMapStore the option keys: json or grid';
      if (typeof key !== 'string')
        throw new TypeError(`expected a key that is a string, got ${typeof key}; ${advice}`);
      // In UTF-8 all halves of a pair are the same.
      if (!isWellFormed(key)) throw new TypeError(`expected a key that is well-formed text; ${advice}`);
      return key;
    },
    keyOf: (text) => text,
  },
  json: {
    keyText: (key) => jsonOf('key', key, 'keys: grid'),
    keyOf: (text) => JSON.parse(text) as unknown,
  },
  grid: {
    keyText: (key) => Buffer.from(encodeKey(key)).toString('base64url'),
    keyOf: (text) => decodeKey(Buffer.from(text, 'base64url')),
  },
};

export function codecsOf(keys: KeyEncoding, values: Encoding): Codecs {
  const codec = new ValueCodec();
  const ofValues: Pick<Codecs, 'valueBytes' | 'valueOf'> =
    values === 'json'
      ? {
          valueBytes: (value) => jsonOf('value', value, 'values: grid'),
          valueOf: (bytes) => JSON.parse(bytes.toString('utf8')) as unknown,
        }
      : {
          valueBytes: (value) => Buffer.from(codec.encode(value)),
          valueOf: (bytes) => codec.decode(bytes),
        };
  const { keyText, keyOf } = KEYS[keys];
  return {
    ...ofValues,
    keyOf,
    keyText: (key) => refusing(() => keyText(key)),
    valueBytes: (value) => refusing(() => ofValues.valueBytes(value)),
  };
}

function jsonOf(root: string, given: unknown, option: string): string {
  const why = whyNotJson(root, given);
  if (why === null) return JSON.stringify(given);
  throw new TypeError(`${why}; for such a ${root} give redisMapStore the option ${option}`);
}

/** What cannot be written was not sent. */
function refusing<T>(encode: () => T): T {
  try {
    return encode();
  } catch (error) {
    throw new StoreRefusedError(reasonOf(error), { cause: error });
  }
}
