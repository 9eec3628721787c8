/**
 * Reads what comes over the network as a JSON text: nothing of it is taken on trust, and what has another form is a
 * `ProtocolError`, never a crash of whoever reads it. Called by the readers of orders, answers and reports.
 */
import type { z } from 'zod';
import { ProtocolError } from '../base/errors.js';

/** `what` names it in the `ProtocolError`: "an order". */
export function readJson<T>(schema: z.ZodType<T>, json: string, what: string): T {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    throw new ProtocolError(`${what} that is not JSON`);
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new ProtocolError(`${what} with a wrong ${issue?.path.join('.') || 'form'}`);
}
