/** The options of an atomic long. Parsed by configuration; the docs and the schema file are made from it. */
import { z } from 'zod';
import { commonOptions, withCommonRules } from '../common-options.js';

export const atomicLongOptions = withCommonRules(z.strictObject({ ...commonOptions }));

export type AtomicLongOptions = z.output<typeof atomicLongOptions>;
