/** An object with items; a text is one value, and not its letters. */
export function isIterable(given: unknown): given is Iterable<unknown> {
  return (
    typeof given === 'object' &&
    typeof (given as Partial<Iterable<unknown>> | null)?.[Symbol.iterator] === 'function'
  );
}
