/** The options of a map. Parsed by configuration; the docs and the schema file are made from it. */
import { z } from 'zod';
import { commonOptions, withCommonRules } from '../common-options.js';

export const mapOptions = withCommonRules(z.strictObject({ ...commonOptions }));

export type MapOptions = z.output<typeof mapOptions>;
