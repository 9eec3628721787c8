/**
 * Messages between clients (and the CLI) and a member that are no operations. Numbers 48..63.
 */
import { text } from '../wire/fields.js';
import { defineMessage } from '../wire/message.js';

export const statusRequest = defineMessage({
  id: 48,
  name: 'statusRequest',
  doc: 'Asks a member what it holds and does, for status pages.',
  fields: {},
});

export const statusReport = defineMessage({
  id: 49,
  name: 'statusReport',
  doc: 'What a member holds and does, as JSON: the shape is `MemberReport`.',
  fields: { json: text(16 * 1024 * 1024) },
});
