/** Promises where none may be: what must be decided at once cannot wait. Called where functions of users are run. */

/** Whether something is a promise, or behaves like one. Also keeps one that fails from being nobody's. */
export function isThenable(given: unknown): boolean {
  const then: unknown = Object(given).then;
  if (typeof then !== 'function') return false;
  then.call(
    given,
    () => {},
    () => {},
  );
  return true;
}
