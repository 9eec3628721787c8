/** What near caches ask members, and what members tell them. Numbers 112..119. */

import { historyField } from '../partitions/history.js';
import { MAX_LISTED_PARTITIONS, MAX_STRUCTURE_NAME_BYTES } from '../partitions/limits.js';
import { bool, count, f64, list, oneOf, record, text, u16, u32 } from '../src/wire/fields.js';
import { defineMessage } from '../src/wire/message.js';

/** Maps that one process has near caches of. */
export const MAX_WATCHED = 1_000;
/** The longest that a value may be kept without an answer, ms: seven days. */
export const MAX_STALENESS_MS = 604_800_000;
/** Changes in one message. */
export const MAX_CHANGES = 8_192;

export const watch = defineMessage({
  id: 112,
  name: 'watch',
  doc: 'Asks a member to tell of all changes of these maps in the partitions that it leads, and of its positions now. Replaces what the sender asked for before; answered only when both are in the same view.',
  lane: 'control',
  fields: {
    /** Chosen by the sender: answers carry it. */
    round: u32,
    /** On the clock of the sender; comes back with the answer. */
    askedMs: f64,
    maps: list(record({ name: text(MAX_STRUCTURE_NAME_BYTES), maxStalenessMs: u32 }), MAX_WATCHED),
  },
});

export const askPositions = defineMessage({
  id: 113,
  name: 'askPositions',
  doc: 'Asks a member that watches for the sender for its positions now; answered only when both are in the same view.',
  lane: 'control',
  fields: { round: u32, askedMs: f64 },
});

export const holders = defineMessage({
  id: 115,
  name: 'holders',
  doc: 'A member tells the others for how long near caches that it tells of changes may serve values without an answer: when it is gone, a change of a preset waits for them all the same.',
  lane: 'control',
  fields: { heldMs: u32 },
});

export const changes = defineMessage({
  id: 114,
  name: 'changes',
  doc: 'Tells a near cache what has changed, and how far. Numbered without a gap; a partition that is not listed is where it was told to be before.',
  fields: {
    round: u32,
    number: u32,
    /** Every partition that the sender leads and has told of was at its position when this was asked, or later; -1: no answer. */
    askedMs: f64,
    partitions: list(
      record({
        partition: u16,
        /** begin: nothing was told of it before; on: the changes since the position told last; end: not led any more. */
        what: oneOf(['begin', 'on', 'end'] as const),
        epoch: u32,
        /** All changes up to this position have been told. */
        upTo: count,
        /** The sender had the right to serve consistent structures. */
        leased: bool,
        /** Too much has changed to be listed: everything kept of the partition may be out of date. */
        all: bool,
        /** Only with `begin`: where the contents of the partition come from. */
        history: historyField,
      }),
      MAX_LISTED_PARTITIONS,
    ),
    keys: list(
      record({
        /** Index in the list of partitions of this message. */
        at: u16,
        /** Index in the list of maps of the watch. */
        map: u16,
        hash: u32,
        /** The position of the change, so much before `upTo`. */
        before: u32,
      }),
      MAX_CHANGES,
    ),
  },
});
