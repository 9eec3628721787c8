/** Questions of backups to primaries about positions, by which they know how old they are. Numbers 104..111. */
import { MAX_LISTED_PARTITIONS } from '../partitions/limits.js';
import { bool, count, f64, list, record, u16, u32 } from '../src/wire/fields.js';
import { defineMessage } from '../src/wire/message.js';

export const positionsRequest = defineMessage({
  id: 104,
  name: 'positionsRequest',
  doc: 'Asks a member for its positions in partitions that it leads; the time is that of the asker, and comes back.',
  lane: 'control',
  fields: { askedMs: f64, partitions: list(u16, MAX_LISTED_PARTITIONS) },
});

export const positions = defineMessage({
  id: 105,
  name: 'positions',
  doc: 'Answer to positionsRequest. Partitions that the member does not lead are left out; leased: it had the right to serve consistent structures.',
  lane: 'control',
  fields: {
    askedMs: f64,
    positions: list(record({ partition: u16, epoch: u32, seq: count, leased: bool }), MAX_LISTED_PARTITIONS),
  },
});
