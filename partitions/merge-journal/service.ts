/**
 * What the operations on a merge journal do. It is a service like those of the data structures, known to the
 * executor of each member, but not on the list that users and configuration see.
 */
import type { OperationContext, PurgeHorizon, Service, StateEnvironment } from '../service.js';
import type { HandlersOf } from '../services/structure.js';
import { JOURNAL_OPERATIONS, MERGE_JOURNAL_ID } from './ops.js';
import { ENTRY_PREFIX, entries, REPORT_PREFIX, type ReportEntry, reports } from './records.js';
import { JournalState } from './state.js';

const MAX_PAGE_BYTES = 1024 * 1024;
const MAX_PAGE_ENTRIES = 4096;

const handlers: HandlersOf<JournalState, typeof JOURNAL_OPERATIONS> = {
  overview(state) {
    return { partitions: state.partitionsWithReports() };
  },

  summary(state, _request, context) {
    context.dependsOn(state.lastSeq);
    return {
      reports: state.list(REPORT_PREFIX).map(({ bytes, seq }) => {
        const { report } = reports.decode(bytes);
        return { report, seq, done: !state.isReportOpen(report.id, context.wallMs) };
      }),
    };
  },

  page(state, { id, after, maxBytes }, context) {
    context.dependsOn(state.lastSeq);
    const prefix = entryPrefix(id);
    const page: ReportEntry[] = [];
    let bytesLeft = Math.min(maxBytes, MAX_PAGE_BYTES);
    let last = after;
    for (const { key, bytes } of state.list(prefix)) {
      const name = key.slice(prefix.length);
      if (name <= after) continue;
      bytesLeft -= bytes.length;
      if (page.length > 0 && (bytesLeft < 0 || page.length === MAX_PAGE_ENTRIES))
        return { isLast: false, last, entries: page, hashes: [] };
      page.push(entries.decode(bytes));
      last = name;
    }
    return { isLast: true, last, entries: page, hashes: state.report(id)?.hashes ?? [] };
  },

  ack(state, { id, seq }, context) {
    const key = REPORT_PREFIX + id;
    if (state.get(key) === null) {
      context.dependsOn(state.lastSeq);
      return { acknowledged: true };
    }
    if (state.seqOf(key) > seq) return { acknowledged: false };
    const removed = [key, ...state.list(entryPrefix(id)).map((entry) => entry.key)];
    state.change(
      removed.map((name) => ({ key: name, bytes: null })),
      context,
    );
    return { acknowledged: true };
  },
};

/** Of the keys of a report's entries. */
export function entryPrefix(id: string): string {
  return `${ENTRY_PREFIX}${id}/`;
}

export const mergeJournalService: Service = {
  id: MERGE_JOURNAL_ID,
  name: 'mergeJournal',
  operations: Object.values(JOURNAL_OPERATIONS),
  createState: (environment: StateEnvironment) => new JournalState(environment),
  handlers,
  merge: (state: JournalState, records, { sharedSeq, operation }) =>
    state.takeOver(records, sharedSeq, operation),
  purge: (state: JournalState, cursor: number, horizon: PurgeHorizon, context: OperationContext) =>
    state.purge(cursor, horizon, context),
};
