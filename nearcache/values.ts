/**
 * A value as a near cache keeps it, so that no reader can change what others get: frozen, copied at each read, or as bytes
 * that are decoded at each read. Values are trees, as the codec makes them. Called by `near-map.ts`.
 */

export type Kept =
  | { readonly form: 'shared'; readonly value: unknown }
  | { readonly form: 'copied'; readonly value: unknown }
  | { readonly form: 'bytes'; readonly bytes: Uint8Array };

export interface Keeping {
  readonly format: 'objects' | 'bytes';
  readonly sharing: 'frozen' | 'copied';
}

/**
 * What is kept of a value that was just decoded from these bytes. The caller gets the value itself: frozen when it is
 * shared, else its own.
 */
export function keep(value: unknown, bytes: Uint8Array, { format, sharing }: Keeping): Kept {
  if (typeof value !== 'object' || value === null) return { form: 'shared', value };
  if (format === 'bytes') return { form: 'bytes', bytes: new Uint8Array(bytes) };
  if (sharing === 'frozen' && isPlainTree(value)) return { form: 'shared', value: freeze(value) };
  const copy = copyOf(value);
  if (copy === UNKNOWN) return { form: 'bytes', bytes: new Uint8Array(bytes) };
  return { form: 'copied', value: copy };
}

/** The value for a reader. */
export function valueFor(kept: Kept, decode: (bytes: Uint8Array) => unknown): unknown {
  if (kept.form === 'shared') return kept.value;
  return kept.form === 'copied' ? copyOf(kept.value) : decode(kept.bytes);
}

function isPlainObject(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** Only of arrays, plain objects and what cannot be changed anyway. */
function isPlainTree(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (Array.isArray(value)) return value.every(isPlainTree);
  return isPlainObject(value) && Object.values(value).every(isPlainTree);
}

function freeze(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  for (const part of Array.isArray(value) ? value : Object.values(value)) freeze(part);
  return Object.freeze(value);
}

/** An object of a kind that only a serializer of the user knows. */
const UNKNOWN = Symbol('unknown');

function copyOf(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return copyAll(value, (parts) => parts);
  if (value instanceof Date) return new Date(value.getTime());
  if (ArrayBuffer.isView(value)) return copyOfView(value);
  if (value instanceof Map) return copyAll([...value.keys(), ...value.values()], (all) => mapOf(all));
  if (value instanceof Set) return copyAll([...value], (parts) => new Set(parts));
  if (!isPlainObject(value)) return UNKNOWN;
  return copyAll(Object.values(value), (parts) => objectLike(value, parts));
}

function copyAll(parts: readonly unknown[], build: (copies: unknown[]) => unknown): unknown {
  const copies: unknown[] = [];
  for (const part of parts) {
    const copy = copyOf(part);
    if (copy === UNKNOWN) return UNKNOWN;
    copies.push(copy);
  }
  return build(copies);
}

function mapOf(all: readonly unknown[]): Map<unknown, unknown> {
  const size = all.length / 2;
  return new Map(all.slice(0, size).map((key, i) => [key, all[size + i]]));
}

function objectLike(value: object, parts: readonly unknown[]): object {
  const copy: Record<string, unknown> = Object.create(Object.getPrototypeOf(value));
  Object.keys(value).forEach((key, i) => {
    // As data, whatever the key is called.
    Object.defineProperty(copy, key, {
      value: parts[i],
      enumerable: true,
      writable: true,
      configurable: true,
    });
  });
  return copy;
}

function copyOfView(value: ArrayBufferView): unknown {
  if (Buffer.isBuffer(value)) return Buffer.from(value);
  if (value instanceof DataView) return UNKNOWN;
  return (value as Uint8Array).slice();
}
