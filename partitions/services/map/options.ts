/** The options of a map. Parsed by configuration; the docs and the schema file are made from it. */
import { z } from 'zod';
import { commonOptions, withCommonRules } from '../common-options.js';
import { storeOptions } from './store-options.js';

export const mapOptions = withCommonRules(
  z.strictObject({ ...commonOptions, store: storeOptions.optional() }),
);

export type MapOptions = z.output<typeof mapOptions>;
