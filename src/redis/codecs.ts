/** How keys and values of a map are written in Redis. Called by the store. */
import { decodeKey, encodeKey } from '../wire/keys.js';
import { ValueCodec } from '../wire/values.js';

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
      if (typeof key === 'string') return key;
      const advice = 'for other keys give redisMapStore the option keys: json or grid';
      throw new TypeError(`expected a key that is a string, got ${typeof key}; ${advice}`);
    },
    keyOf: (text) => text,
  },
  json: { keyText: (key) => JSON.stringify(key), keyOf: (text) => JSON.parse(text) as unknown },
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
          valueBytes: (value) => JSON.stringify(value),
          valueOf: (bytes) => JSON.parse(bytes.toString('utf8')) as unknown,
        }
      : {
          valueBytes: (value) => Buffer.from(codec.encode(value)),
          valueOf: (bytes) => codec.decode(bytes),
        };
  return { ...KEYS[keys], ...ofValues };
}
