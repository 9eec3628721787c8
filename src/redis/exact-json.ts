/** What JSON gives back exactly as it was. Called by the codecs of the store. */

/** Where something is that JSON would give back as something else, or not at all, as `value.a[2] is NaN`; null: nowhere. */
export function whyNotJson(path: string, given: unknown): string | null {
  if (given === null || typeof given === 'boolean' || typeof given === 'string') return null;
  if (typeof given === 'number') {
    const isExact = Number.isFinite(given) && !Object.is(given, -0);
    return isExact ? null : notExact(path, Object.is(given, -0) ? '-0' : String(given));
  }
  if (typeof given !== 'object') return notExact(path, `of type ${typeof given}`);
  if (Array.isArray(given)) return whyNotList(path, given);
  if (!isPlain(given)) return notExact(path, `a ${nameOf(given)}`);
  for (const [name, value] of Object.entries(given)) {
    const why = whyNotJson(`${path}.${name}`, value);
    if (why !== null) return why;
  }
  return null;
}

/** Also its gaps, which are undefined. */
function whyNotList(path: string, list: readonly unknown[]): string | null {
  for (let i = 0; i < list.length; i++) {
    const why = whyNotJson(`${path}[${i}]`, list[i]);
    if (why !== null) return why;
  }
  return null;
}

function notExact(path: string, what: string): string {
  return `${path} is ${what}, which JSON does not give back`;
}

function isPlain(given: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(given);
  return prototype !== null && Object.getPrototypeOf(prototype) === null;
}

function nameOf(given: object): string {
  const name: unknown = (given as { constructor?: { name?: unknown } }).constructor?.name;
  return typeof name === 'string' && name !== '' ? name : 'special object';
}
