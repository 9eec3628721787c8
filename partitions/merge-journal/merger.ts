/**
 * The owner's side of a merge in one partition: takes what another history has changed, step by step, into the
 * primary's replica. Each step is one position of the stream, which changes data, windows and journal together, so
 * that whoever takes over knows exactly what was merged. Invariants: steps may be repeated; what is announced,
 * merged or marked as done counts only when `whenSafe` says so. Owned by the executor; driven by replication.
 */
import { Reader, Writer } from '../../src/base/bytes.js';
import { ProtocolError } from '../../src/base/errors.js';
import type { HybridClock } from '../../src/base/hlc.js';
import type { Clock, Logger } from '../../src/base/ports.js';
import { ValueCodec } from '../../src/wire/values.js';
import { appendEntry, type Changed } from '../append-entry.js';
import { TO_NOBODY } from '../call.js';
import { COMPOSITE, type EntryPart, encodeParts } from '../entry-body.js';
import { type EpochStart, epochOf, isSameEpoch, type Place, sharedUpTo } from '../history.js';
import { EMPTY_BYTES } from '../limits.js';
import { MergeFunctions } from '../merge-policies.js';
import type { Context } from '../operation-context.js';
import type { Addition, MergedAddition } from '../released-calls.js';
import type { PartitionReplica } from '../replica.js';
import type { Replicator } from '../replicator.js';
import { isConsistent, type Service, type ServiceState, type StructureOptions } from '../service.js';
import { isUnknown, type Session, type WindowEntry } from '../sessions.js';
import {
  addMergedCalls,
  isSameOrigin,
  type MergedCall,
  originOf,
  readMergedCall,
  writeMergedCall,
} from './merged-calls.js';
import { JOURNAL_NAME, MERGE_JOURNAL_ID } from './ops.js';
import { type Marker, markerKey, markers, nameOf, PARTITION_KEY } from './records.js';
import { type MergeTotals, ReportBuilder } from './report-builder.js';
import { mergeJournalService } from './service.js';
import { type JournalChange, type JournalState, journalOf } from './state.js';

/** Of the entries of merge reports in one partition, when nothing else is set. */
const REPORT_BYTES = 1024 * 1024;
const WAIT_MS = 5_000;
const NOT_TAKEN = 'the structure is consistent (PC) today: nothing is merged into it';

/** Faults that tests put in on purpose, to see them found; never set outside of them. */
export interface MergeFaults {
  /** What is not kept is not reported. */
  readonly mergeDropsLosers?: boolean;
  /** Calls that the owner has applied itself take effect again. */
  readonly mergeRepeatsCalls?: boolean;
}

export interface MergerOptions {
  readonly clock: Clock;
  readonly hlc: HybridClock;
  readonly logger: Logger;
  readonly optionsFor: (service: Service, structure: string) => StructureOptions;
  readonly mergeReportBytes?: number;
  /** This side has no majority: `consistent` structures are not its to decide on. */
  readonly isInFork?: () => boolean;
  readonly mergeFunctions?: MergeFunctions;
  readonly mergeFaults?: MergeFaults;
  readonly changed?: Changed;
  /** A merge has changed the structure, and its position is made: what waits for it may go on. */
  readonly wake: (partition: number, serviceId: number, structure: string) => void;
}

/** A replica whose contents come in. */
export interface MergeSource {
  /** Of the report, the same for all partitions that come in together. */
  readonly reportId: string;
  readonly seq: number;
  readonly history: readonly EpochStart[];
  /** Lineage tags. */
  readonly from: number;
  readonly to: number;
  /**
   * What the owner's own applications have added of calls that the source leaves out. The source may have left these
   * out in an earlier merge, in favour of its own: then neither would count.
   */
  readonly standing: Addition[];
  /** What calls added that the source has from an earlier merge, and the owner by an application of its own. */
  readonly repeated: Addition[];
}

export interface MergeStart {
  /** `done`: everything is here and safe. `wait`: everything is here, and not safe yet. */
  readonly state: 'go' | 'done' | 'wait';
  /** What the two histories share. */
  readonly sharedSeq: number;
  /** What does not have to come any more: shared, or merged before. */
  readonly fromSeq: number;
  /** Where an earlier attempt got to; service 0 for the start. */
  readonly at: MergeCursor;
}

export interface MergeCursor {
  readonly service: number;
  readonly name: string;
  readonly cursor: number;
}

export interface MergePart {
  readonly service: number;
  readonly structure: string;
  readonly records: Uint8Array;
  /** Where the source goes on behind these records. */
  readonly next: MergeCursor;
}

interface Taken {
  readonly parts: EntryPart[];
  readonly changes: JournalChange[];
  readonly failure: ProtocolError | null;
}

/** What a replica knows of a call that the source has applied. */
interface Remembered {
  readonly session: Session | undefined;
  readonly entry: WindowEntry | undefined;
  /** The call came by an earlier merge, and is released. */
  readonly merged: MergedAddition | undefined;
  /** By its window, or as a released call; undefined when it is not remembered at all, or adds nothing in its window. */
  readonly added: Addition | null | undefined;
}

const NOWHERE: MergeCursor = { service: 0, name: '', cursor: 0 };

export class Merger {
  readonly #services: ReadonlyMap<number, Service>;
  readonly #replicator: Replicator;
  readonly #context: Context;
  readonly #options: MergerOptions;
  /** Those of this member's users. */
  readonly functions: MergeFunctions;
  /** Of all merges into partitions of this member. */
  readonly totals: MergeTotals = { merged: 0, discarded: 0, resurrected: 0, failed: 0 };

  constructor(
    services: ReadonlyMap<number, Service>,
    replicator: Replicator,
    context: Context,
    options: MergerOptions,
  ) {
    this.#services = services;
    this.#replicator = replicator;
    this.#context = context;
    this.#options = options;
    this.functions = options.mergeFunctions ?? new MergeFunctions(new ValueCodec());
  }

  /** The replica of a partition that this member serves as its primary, or null. */
  primary(partition: number): PartitionReplica | null {
    return this.#replicator.refusal(partition, true) === null ? this.#replicator.replica(partition) : null;
  }

  start(replica: PartitionReplica, source: MergeSource): MergeStart {
    const sharedSeq = sharedUpTo(source, replica);
    const journal = journalOf(replica);
    const marker = journal?.marker(nameOf(source.history)) ?? null;
    const fromSeq = Math.max(sharedSeq, marker?.doneSeq ?? 0);
    if (fromSeq >= source.seq) {
      const needed = Math.max(Math.min(sharedSeq, source.seq), journal?.lastSeq ?? 0);
      const state = this.#isSafe(replica, needed) ? 'done' : 'wait';
      return { state, sharedSeq, fromSeq, at: NOWHERE };
    }
    // An attempt with a shorter prefix has merged older contents of what lies before its cursor.
    const isSame = marker !== null && marker.openSeq >= source.seq;
    const at = isSame ? { service: marker.service, name: marker.name, cursor: marker.cursor } : NOWHERE;
    return { state: 'go', sharedSeq, fromSeq, at };
  }

  /**
   * Learns of a page of calls that the source has applied. Gives the positions (of the source) of those that this
   * history has applied itself or declared void: the source must leave out what they did.
   */
  announce(replica: PartitionReplica, source: MergeSource, page: Uint8Array): readonly number[] {
    const reader = new Reader(page);
    const sharedSeq = sharedUpTo(source, replica);
    const ownLineages = new Set(epochsBeyond(replica, sharedSeq).map(({ lineage }) => lineage));
    const skipped: number[] = [];
    const news = new Writer(1024);
    while (reader.remaining > 0) {
      const call = readMergedCall(reader);
      const { released, elsewhere } = replica.sessions;
      const session = replica.sessions.find(call.client);
      const entry = session?.find(call.sequence);
      const ended = entry === undefined ? released.find(call.client, call.sequence) : undefined;
      const isHere = entry !== undefined || ended !== undefined;
      const merged = isHere ? undefined : elsewhere.find(call.client, call.sequence);
      const added = entry === undefined ? (isHere ? ended : merged?.addition) : entry.addition;
      const verdict = judge(replica, call, { session, entry, merged, added }, ownLineages);
      if (verdict === 'new') writeMergedCall(news, call);
      if (verdict !== 'skip' || this.#options.mergeFaults?.mergeRepeatsCalls === true) continue;
      // A call that itself came into the source by a merge has its position in another history.
      if (isOwn(source.history, call.origin)) skipped.push(call.origin.seq);
      else if (call.addition !== null) source.repeated.push(call.addition);
      const own = added ?? (entry === undefined ? null : released.find(call.client, call.sequence));
      if (own) source.standing.push(own);
    }
    const parts: EntryPart[] = [];
    if (news.length > 0) {
      const delta = news.toBytes();
      addMergedCalls(replica.sessions, new Reader(delta), replica.seq + 1, this.#options.clock.now());
      parts.push({ serviceId: 0, structure: '', delta });
    }
    this.#commit(replica, source, parts, [], {});
    return skipped;
  }

  /** Merges records of one structure. Throws a `ProtocolError` when one of them cannot be taken. */
  take(replica: PartitionReplica, source: MergeSource, part: MergePart): void {
    const service = this.#services.get(part.service);
    if (service === undefined) throw new ProtocolError(`a merge of an unknown structure ${part.service}`);
    const reader = new Reader(part.records);
    for (;;) {
      const before = reader.remaining;
      const { parts, changes, failure } = this.#merge(replica, source, service, part.structure, reader);
      if (failure !== null) {
        // What was taken before it is in the state, and has to reach the backups; the rest comes again.
        if (parts.length > 0) this.#commit(replica, source, parts, changes, {});
        throw failure;
      }
      const isLast = reader.remaining === 0 || reader.remaining === before;
      this.#commit(replica, source, parts, changes, isLast ? cursorOf(part.next) : {});
      if (parts.length > 0) this.#options.wake(replica.id, part.service, part.structure);
      if (isLast) return;
    }
  }

  /** Everything of the source is here. */
  end(replica: PartitionReplica, source: MergeSource): void {
    const marker = journalOf(replica)?.marker(nameOf(source.history));
    const doneSeq = Math.max(marker?.doneSeq ?? 0, source.seq);
    this.#commit(replica, source, [], [], { ...cursorOf(NOWHERE), doneSeq, openSeq: 0 });
  }

  /** Calls `done` when the position can not be lost any more by the crashes that any structure's backups cover. */
  whenSafe(replica: PartitionReplica, seq: number, done: () => void): void {
    if (this.#isSafe(replica, seq)) {
      done();
      return;
    }
    this.#replicator.wait(replica.id, this.#syncBackups, {
      seq,
      deadlineMs: this.#options.clock.now() + WAIT_MS,
      silenceMs: 0,
      isWrite: false,
      succeedOnTimeout: false,
      call: { partition: replica.id, client: 0, sequence: 0 },
      sink: TO_NOBODY,
      done,
    });
  }

  #isSafe(replica: PartitionReplica, seq: number): boolean {
    const { committed } = this.#replicator;
    return seq <= committed.call(this.#replicator, replica.id, this.#syncBackups);
  }

  get #syncBackups(): number {
    return this.#options.optionsFor(mergeJournalService, JOURNAL_NAME).backups.sync;
  }

  // --- one step

  #merge(
    replica: PartitionReplica,
    source: MergeSource,
    service: Service,
    structure: string,
    reader: Reader,
  ): Taken {
    const isJournal = service.id === MERGE_JOURNAL_ID;
    const options = this.#options.optionsFor(service, structure);
    const refuses = !isJournal && isConsistent(options);
    if (refuses && this.#options.isInFork?.() === true) {
      reader.offset = reader.end;
      return { parts: [], changes: [], failure: null };
    }
    const report = this.#report(replica, source, service, structure);
    const found = replica.find(service.id, structure);
    const state: ServiceState = found ?? replica.emptyState(service, structure);
    const operation = this.#context.begin(replica, options);
    let failure: ProtocolError | null = null;
    operation.isBusy = true;
    try {
      service.merge(state as never, reader, {
        sharedSeq: sharedUpTo(source, replica),
        policy: refuses ? 'Discard' : options.mergePolicy,
        functions: this.functions,
        operation,
        standing: headsOf(source.standing, service, structure),
        repeated: headsOf(source.repeated, service, structure),
        merged: (count) => {
          if (!isJournal) report.totals.merged += count;
        },
        discarded: (entry) => {
          if (this.#options.mergeFaults?.mergeDropsLosers === true) return;
          report.discarded(refuses ? { ...entry, reason: NOT_TAKEN } : entry);
        },
        resurrected: () => {
          report.totals.resurrected++;
        },
        failed: (key, reason) => report.failed(key, reason),
      });
    } catch (error) {
      failure = new ProtocolError(
        `the merge of ${service.name} ${JSON.stringify(structure)} threw: ${error}`,
      );
    } finally {
      operation.isBusy = false;
    }
    const parts: EntryPart[] = [];
    if (operation.changed) {
      const delta = Buffer.from(operation.takeDelta());
      if (found === undefined) replica.attach(service, structure, state);
      parts.push({ serviceId: service.id, structure, delta });
      const { seq, touchedHashes } = this.#context;
      this.#options.changed?.(replica.id, service.id, structure, seq, touchedHashes);
    }
    for (const kind of ['merged', 'discarded', 'resurrected', 'failed'] as const)
      this.totals[kind] += report.totals[kind];
    return { parts, changes: isJournal ? [] : report.changes(), failure };
  }

  #report(
    replica: PartitionReplica,
    { reportId: id, from, to, history }: MergeSource,
    { id: serviceId, name: service }: Service,
    name: string,
  ): ReportBuilder {
    const startedMs = Math.max(0, Math.floor(this.#options.clock.wallNow()));
    const limitBytes = this.#options.mergeReportBytes ?? REPORT_BYTES;
    const journal = this.#journal(replica);
    // Another holder of the same history may have begun, under a name of its own.
    const head = { id: journal.marker(nameOf(history))?.reportId ?? id, from, to, startedMs };
    return new ReportBuilder(journal, head, { service, serviceId, name }, limitBytes);
  }

  /** For reading; it is a part of the replica only when something was written. */
  #journal(replica: PartitionReplica): JournalState {
    return (journalOf(replica) ?? replica.emptyState(mergeJournalService, JOURNAL_NAME)) as JournalState;
  }

  /** One position: the parts, and with them the marker and the other records of the journal. */
  #commit(
    replica: PartitionReplica,
    source: MergeSource,
    parts: readonly EntryPart[],
    changes: readonly JournalChange[],
    progress: Partial<Marker>,
  ): void {
    const journal = this.#journal(replica);
    const name = nameOf(source.history);
    const sharedSeq = sharedUpTo(source, replica);
    const marker: Marker = {
      ...(journal.marker(name) ?? { ...cursorOf(NOWHERE), doneSeq: 0, reportId: source.reportId }),
      epochs: epochsBeyond(source, sharedSeq),
      openSeq: source.seq,
      ...progress,
    };
    const partition = Buffer.from([replica.id & 0xff, replica.id >> 8]);
    const all: JournalChange[] = [
      ...(journal.get(PARTITION_KEY) === null ? [{ key: PARTITION_KEY, bytes: partition }] : []),
      ...changes,
      { key: markerKey(name), bytes: markers.encode(marker) },
    ];
    const options = this.#options.optionsFor(mergeJournalService, JOURNAL_NAME);
    const operation = this.#context.begin(replica, options);
    journal.change(all, operation);
    if (journalOf(replica) === undefined) replica.attach(mergeJournalService, JOURNAL_NAME, journal);
    const delta = Buffer.from(operation.takeDelta());
    const own: EntryPart = { serviceId: MERGE_JOURNAL_ID, structure: JOURNAL_NAME, delta };
    appendEntry(this.#replicator, replica, this.#options.hlc, () => ({
      serviceId: COMPOSITE,
      structure: '',
      syncBackups: this.#syncBackups,
      isVoid: false,
      isConsistent: false,
      client: 0,
      sequence: 0,
      below: 0,
      delta: encodeParts([...parts, own]),
      reply: EMPTY_BYTES,
    }));
  }
}

function headsOf(additions: readonly Addition[], { id }: Service, structure: string): readonly Uint8Array[] {
  return additions
    .filter((one) => one.serviceId === id && one.structure === structure)
    .map(({ delta }) => delta);
}

function cursorOf({ service, name, cursor }: MergeCursor): MergeCursor {
  return { service, name, cursor };
}

/** The epochs that positions beyond `sharedSeq` are of. */
function epochsBeyond(
  { seq, history }: { readonly seq: number; readonly history: readonly EpochStart[] },
  sharedSeq: number,
): EpochStart[] {
  return history.filter((_, i) => (history[i + 1]?.start ?? seq) > sharedSeq);
}

/** The call was applied in this very history. */
function isOwn(history: readonly EpochStart[], place: Place): boolean {
  return isSameEpoch(epochOf(history, place.seq), place);
}

/** What is to be done about a call that the source has applied. */
function judge(
  replica: PartitionReplica,
  call: MergedCall,
  { session, entry, merged, added }: Remembered,
  ownLineages: ReadonlySet<number>,
): 'skip' | 'new' | 'known' {
  // The same application of it may have come by another merge: then it is known, and what it did is merged.
  // One of unknown outcome did nothing here, so what it did there is merged as any other write.
  if (entry !== undefined) {
    const isMerged = isUnknown(entry) || isSameOrigin(originOf(entry, replica.history), call.origin);
    return isMerged ? 'known' : 'skip';
  }
  if (merged !== undefined && isSameOrigin(merged.origin, call.origin)) return 'known';
  if (added !== undefined) return 'skip';
  const isOpen = session === undefined || call.sequence >= session.below;
  if (isOpen && !call.released) return 'new';
  // Released by its client, and forgotten here if it was ever known. A call is tried in one lineage only: if this
  // history has none of that lineage, it was the source that answered; else it was this one, unless the source may have.
  if (!isOpen && ownLineages.has(call.origin.lineage) && !call.answered) return 'skip';
  // A third history may have applied it too: it is told what is left out there.
  return call.addition === null ? 'known' : 'new';
}
