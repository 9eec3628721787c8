/** A call that was done, and whose answer this process cannot decode. Called by what opens replies. */
import { IndeterminateError } from '../../src/base/errors.js';
import { reasonOf } from '../../src/base/reason.js';

/** `call`: method and structure, for people. Its `resolve()` gives the fields of the reply, with copies of the bytes, so that nothing that was taken is lost. */
export function unreadableReply(call: string, reply: unknown, cause: unknown): IndeterminateError {
  const kept = ownCopy(reply);
  const why = reasonOf(cause);
  return new IndeterminateError(
    `${call} was done, but its answer cannot be read here: ${why}; resolve() gives the bytes`,
    () => Promise.resolve({ outcome: 'done', reply: kept }),
    { cause },
  );
}

/** Bytes of a reply are views of a frame that is used again. */
function ownCopy(value: unknown): unknown {
  if (value instanceof Uint8Array) return Uint8Array.from(value);
  if (Array.isArray(value)) return value.map(ownCopy);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, ownCopy(each)]));
}
