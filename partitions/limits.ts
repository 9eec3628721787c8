/** Limits that several files share. */

export const MAX_STRUCTURE_NAME_BYTES = 240;
export const EMPTY_BYTES: Uint8Array = new Uint8Array(0);
