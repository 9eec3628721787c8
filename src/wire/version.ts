/**
 * The protocol's version and its history. A test compares `SCHEMA_HASH` with the hash of all definitions and
 * fails when one changed without the other: then raise `PROTOCOL_VERSION`, add a line, and set the new hash.
 *
 * 1: first version.
 */
export const PROTOCOL_VERSION = 1;

/** The oldest version that this one still speaks. */
export const PROTOCOL_VERSION_MIN = 1;

/** Hash of all messages, the header and the call prefix: names, numbers, types and order of their fields. */
export const SCHEMA_HASH = '42fcc547d8b9e075';
