/** Limits that several files share. */

export const MAX_STRUCTURE_NAME_BYTES = 240;
/** Of the owner of a lock that a caller names. */
export const MAX_LOCK_OWNER_BYTES = 128;
export const EMPTY_BYTES: Uint8Array = new Uint8Array(0);

/**
 * Of a request that changes something, so that its position of the stream, which may also hold an old value, is
 * below the largest message: a position that can not be sent would hold up all behind it.
 */
export const MAX_WRITE_BYTES = 17.5 * 1024 * 1024;
/** Partitions in one message: whatever a u16 can name. */
export const MAX_LISTED_PARTITIONS = 65_535;
/** How long reads and questions wait for the backups; then they are refused and may be sent again. */
export const READ_WAIT_MS = 5000;
