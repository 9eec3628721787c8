/** Names of options that code gives: one that is not known is refused, because it would be left out without a sign. */

/** Throws a `TypeError` that names what is wrong, and the options there are. */
export function checkNames(options: unknown, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    throw new TypeError(`options: expected an object with some of ${known.join(', ')}`);
  checkKnown(options, known);
}

/** The same of what is an object for certain; `what` it is for people. */
export function checkKnown(options: object, known: readonly string[], what = 'options'): void {
  for (const name of Object.keys(options))
    if (!known.includes(name)) throw new TypeError(`${what}: ${name} is none of ${known.join(', ')}`);
}
