/** The options of a map. Parsed by configuration; the docs and the schema file are made from it. */
import { z } from 'zod';
import {
  checkedIndex,
  INDEX_TYPES,
  MAX_INDEX_ATTRIBUTES,
  MAX_INDEX_NAME,
  MAX_INDEXES,
} from '../../query/index-definition.js';
import { commonOptions, withCommonRules } from '../common-options.js';
import { storeOptions } from './store-options.js';

const index = z
  .strictObject({
    name: z
      .string()
      .min(1)
      .max(MAX_INDEX_NAME)
      .optional()
      .describe('For statistics. Left out: made of the rest.'),
    type: z
      .enum(INDEX_TYPES)
      .default('SORTED')
      .describe('SORTED serves equality and ranges; HASH equality alone.'),
    attributes: z
      .array(z.string())
      .min(1)
      .max(MAX_INDEX_ATTRIBUTES)
      .describe('Paths of fields, for example age, address.city, tags[any] or __key.'),
  })
  .transform((given, context) => {
    try {
      return checkedIndex(given);
    } catch (error) {
      context.addIssue({ code: 'custom', message: (error as Error).message });
      return z.NEVER;
    }
  });

const indexes = z
  .array(index)
  .max(MAX_INDEXES)
  .default([])
  .describe('Indexes that queries use, at most 16: each { name, type, attributes }.');

const store = storeOptions
  .optional()
  .describe('The store that the map is kept in, by the name that it is registered under; left out: none.');

export const mapOptions = withCommonRules(z.strictObject({ ...commonOptions, indexes, store }));

export type MapOptions = z.output<typeof mapOptions>;
