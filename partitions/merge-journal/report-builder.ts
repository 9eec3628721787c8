/**
 * Counts what one step of a merge does and turns it into records of the journal: the report with its counts, and its
 * entries while there is room. An entry that is reported again, because a step was repeated, stays one entry.
 */
import { textOf } from '../../src/base/bytes.js';
import { murmur3 } from '../hash.js';
import type { DiscardedEntry } from '../service.js';
import { MAX_COUNTED, MAX_HASHES, MAX_REPORTS } from './ops.js';
import { entries, REPORT_PREFIX, type Report, type ReportEntry, reports } from './records.js';
import { entryPrefix } from './service.js';
import type { JournalChange, JournalState } from './state.js';

const MAX_REASON_LENGTH = 500;

export interface MergeTotals {
  merged: number;
  discarded: number;
  resurrected: number;
  failed: number;
}

export interface ReportHead {
  readonly id: string;
  readonly from: number;
  readonly to: number;
  readonly startedMs: number;
}

/** The structure that a step is about. */
export interface Counted {
  readonly service: string;
  readonly serviceId: number;
  readonly name: string;
}

export class ReportBuilder {
  readonly totals: MergeTotals = { merged: 0, discarded: 0, resurrected: 0, failed: 0 };
  readonly #journal: JournalState;
  readonly #head: ReportHead;
  readonly #of: Counted;
  readonly #limitBytes: number;
  readonly #entries = new Map<string, Buffer>();
  readonly #leftOut = new Set<number>();
  readonly #reported = new Set<string>();
  readonly #failedKeys: { readonly key: Buffer; readonly reason: string }[] = [];
  #bytes = 0;
  #truncated = 0;

  constructor(journal: JournalState, head: ReportHead, of: Counted, limitBytes: number) {
    this.#journal = journal;
    this.#head = head;
    this.#of = of;
    this.#limitBytes = limitBytes;
  }

  discarded(entry: DiscardedEntry): void {
    this.#reported.add(textOf(entry.key));
    if (this.#add(entry)) this.totals.discarded++;
  }

  failed(key: Uint8Array, reason: string): void {
    this.totals.failed++;
    this.#failedKeys.push({ key: Buffer.from(key), reason });
  }

  /** False for an entry that was reported before. */
  #add({ key, kept, discarded, side, reason }: DiscardedEntry): boolean {
    const { service, serviceId, name } = this.#of;
    const keyHash = murmur3(key);
    const parts = [
      serviceId,
      murmur3(Buffer.from(name)),
      keyHash,
      discarded === null ? 0 : murmur3(discarded),
    ];
    const digest = parts.map((part) => part.toString(16)).join('.');
    const recordKey = `${entryPrefix(this.#head.id)}${digest}.${side === 'source' ? 's' : 'o'}`;
    if (this.#entries.has(recordKey) || this.#journal.get(recordKey) !== null) return false;
    const sizeBytes = key.length + (kept?.length ?? 0) + (discarded?.length ?? 0) + 2 * recordKey.length;
    if (this.#journal.entryBytes + this.#bytes + sizeBytes > this.#limitBytes) {
      this.#truncated++;
      this.#leftOut.add(keyHash);
      return true;
    }
    const entry: ReportEntry = {
      service,
      structure: name,
      key,
      kept,
      discarded,
      side,
      reason: reason.slice(0, MAX_REASON_LENGTH),
    };
    this.#entries.set(recordKey, entries.encode(entry));
    this.#bytes += sizeBytes;
    return true;
  }

  /** The records to be written; none when the step had nothing to tell and the report is there already. */
  changes(): JournalChange[] {
    // A key whose merge failed has an entry, even if the structure did not say which value it cost.
    for (const { key, reason } of this.#failedKeys) {
      if (this.#reported.has(textOf(key))) continue;
      this.#add({ key, kept: null, discarded: null, side: 'source', reason });
    }
    const before = this.#journal.report(this.#head.id);
    const { merged, discarded, resurrected, failed } = this.totals;
    const isQuiet = merged + discarded + resurrected + failed + this.#entries.size === 0;
    if (before !== null && isQuiet) return [];
    const report: Report = before?.report ?? { ...this.#head, entries: 0, truncated: 0, structures: [] };
    const hashes = new Set([...(before?.hashes ?? []), ...this.#leftOut]);
    const record = {
      report: {
        ...report,
        entries: report.entries + this.#entries.size,
        truncated: report.truncated + this.#truncated,
        structures: isQuiet ? report.structures : this.#counted(report),
      },
      hashes: [...hashes].slice(0, MAX_HASHES),
    };
    return [
      ...(before === null ? this.#makeRoom() : []),
      { key: REPORT_PREFIX + this.#head.id, bytes: reports.encode(record) },
      ...[...this.#entries].map(([key, bytes]) => ({ key, bytes })),
    ];
  }

  #counted({ structures }: Report): Report['structures'] {
    const { service, name } = this.#of;
    let at = structures.findIndex((one) => one.service === service && one.name === name);
    const isFull = at < 0 && structures.length >= MAX_COUNTED;
    if (isFull) at = structures.findIndex((one) => one.service === '');
    const old = structures[at] ?? {
      service: isFull ? '' : service,
      name: isFull ? '' : name,
      merged: 0,
      discarded: 0,
      resurrected: 0,
      failed: 0,
    };
    const { totals } = this;
    const sum = {
      service: old.service,
      name: old.name,
      merged: old.merged + totals.merged,
      discarded: old.discarded + totals.discarded,
      resurrected: old.resurrected + totals.resurrected,
      failed: old.failed + totals.failed,
    };
    return at < 0 ? [...structures, sum] : structures.map((one, i) => (i === at ? sum : one));
  }

  /** The oldest report goes when nobody has acknowledged any for very long. */
  #makeRoom(): JournalChange[] {
    const all = this.#journal.list(REPORT_PREFIX).map(({ bytes }) => reports.decode(bytes).report);
    if (all.length < MAX_REPORTS) return [];
    const oldest = all.reduce((a, b) => (b.startedMs < a.startedMs ? b : a));
    const removed = this.#journal.list(entryPrefix(oldest.id)).map(({ key }) => key);
    return [REPORT_PREFIX + oldest.id, ...removed].map((key) => ({ key, bytes: null }));
  }
}
