/**
 * What the merge journal of a partition consists of: markers (how far the histories that come in were merged),
 * reports, and their entries. Each is a record of its own under a text key. Called by the journal and the merger.
 */
import { Reader, Writer } from '../../src/base/bytes.js';
import { count, type Field, type FieldsOf, list, record, text, u8, u32 } from '../../src/wire/fields.js';
import { type EpochStart, historyField } from '../history.js';
import { entryField, MAX_HASHES, MAX_REPORT_ID_BYTES, reportField } from './ops.js';

/**
 * A history that is merged in, named by its last epoch: replicas with the same one are prefixes of each other, so
 * the one with the higher position stands for the others.
 */
export interface SourceName {
  readonly lineage: number;
  readonly epoch: number;
}

const markerField = record({
  reportId: text(MAX_REPORT_ID_BYTES),
  /** Epochs of the source that are no part of the owner's history. */
  epochs: historyField,
  /** Positions of the source up to here are merged. */
  doneSeq: count,
  /** Position of the replica whose merge is under way; 0 when none is. */
  openSeq: count,
  /** Where it goes on: structures before this one are merged, and this one up to its cursor. */
  service: u8,
  name: text(240),
  cursor: count,
});
export type Marker = FieldsOf<{ m: typeof markerField }>['m'];

const reportRecord = record({ report: reportField, hashes: list(u32, MAX_HASHES) });
export type ReportRecord = FieldsOf<{ r: typeof reportRecord }>['r'];
export type Report = FieldsOf<{ r: typeof reportField }>['r'];
export type ReportEntry = FieldsOf<{ e: typeof entryField }>['e'];

function codec<T>(field: Field<T>) {
  return {
    encode(value: T): Buffer {
      const out = new Writer(256);
      field.write(out, value);
      return out.toBytes();
    },
    decode: (bytes: Uint8Array): T => field.read(new Reader(bytes)),
  };
}

export const markers = codec(markerField);
export const reports = codec(reportRecord);
export const entries = codec(entryField);

export const MARKER_PREFIX = 'm:';
export const REPORT_PREFIX = 'r:';
export const ENTRY_PREFIX = 'e:';
/** The record that tells the number of the partition. */
export const PARTITION_KEY = 'p';

export function markerKey({ lineage, epoch }: SourceName): string {
  return `${MARKER_PREFIX}${lineage.toString(16)}.${epoch}`;
}

export function nameOf(history: readonly EpochStart[]): SourceName {
  const last = history.at(-1);
  return { lineage: last?.lineage ?? 0, epoch: last?.epoch ?? 0 };
}
