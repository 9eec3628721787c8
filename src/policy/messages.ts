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

/** Orders and their answers have at most this many bytes of JSON; naming every partition takes half of it. */
const MAX_ADMIN_BYTES = 256 * 1024;

export const adminRequest = defineMessage({
  id: 50,
  name: 'adminRequest',
  doc: 'An order of a person to the cluster, as JSON: the shape is `AdminCommand`. The sequence is that of the answer.',
  fields: { json: text(MAX_ADMIN_BYTES) },
});

export const adminReply = defineMessage({
  id: 51,
  name: 'adminReply',
  doc: 'What became of an order, as JSON: the shape is `AdminReply`.',
  fields: { json: text(MAX_ADMIN_BYTES) },
});
