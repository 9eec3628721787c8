/**
 * The view: the one immutable, numbered record of all that members must agree on - lineage, members (oldest
 * first), partition table, structure configuration. It changes only as a whole, through the chain. Also its form
 * on the wire. Invariant: entry i of the table belongs to partition i; replica 0 of an entry is its primary.
 */
import type { Reader, Writer } from '../base/bytes.js';
import { ProtocolError } from '../base/errors.js';
import { bool, count, type Field, list, optional, record, text, u16, u32, uuid } from '../wire/fields.js';
import { type Toggles, togglesField } from './toggle.js';

/** A member's UUID: a restarted process has a new one. */
export type MemberId = string;

export interface MemberInfo {
  readonly id: MemberId;
  /** Advertised `host:port`. */
  readonly address: string;
  /** It asked to leave: it gets no new replicas, and goes when it holds none. */
  readonly leaving: boolean;
}

export interface Replica {
  readonly member: MemberId;
  /** Only synced replicas count for acknowledgement and promotion. */
  readonly synced: boolean;
}

/** Where the replicas of one partition are. */
export interface TableEntry {
  /** Primary first; empty when no member of the view holds a synced replica. */
  readonly replicas: readonly Replica[];
  /** Number of the view in which today's primary took over; positions of its stream carry it. */
  readonly epoch: number;
  /** The primary has reported that it serves this entry and that every synced replica is level with it. */
  readonly settled: boolean;
  /** The entry is on its way to its target: every synced replica is waited for, not only the sync backups. */
  readonly moving: boolean;
  /** Number of the view in which the partition last started empty because its contents were lost; 0 when it never did. */
  readonly generation: number;
  /** Who else may hold what was last known to be whole: all holders when `replicas` is empty; none when nothing is missing. */
  readonly lastSynced: readonly MemberId[];
  /**
   * Until the entry is settled: who had everything when a primary last served, if that one is gone. Nothing of a
   * `consistent` structure is served before then, so any of these can still take over.
   */
  readonly proven: readonly MemberId[];
}

/** One row of the structures' configuration: for which names, and the options as JSON text. */
export interface StructureRow {
  readonly service: string;
  readonly pattern: string;
  readonly options: string;
}

/** The view of the chain that a fork left. */
export interface ForkPoint {
  readonly lineage: string;
  readonly number: number;
}

export interface View {
  readonly lineage: string;
  readonly number: number;
  /** The lineage was founded by an order: only then does it serve `consistent` structures. */
  readonly ordered: boolean;
  /** Of a fork: where it left the chain; null for the chain itself. */
  readonly parent: ForkPoint | null;
  /** Chains that were given up for this lineage, which was a fork of them; the latest last. */
  readonly replaced: readonly string[];
  /** Oldest first. */
  readonly members: readonly MemberInfo[];
  /** Backup slots: those of the structure with most backups. */
  readonly slots: number;
  readonly table: readonly TableEntry[];
  /** Where each partition's replicas are to be, primary first; recomputed when members or slots change. */
  readonly target: readonly (readonly MemberId[])[];
  readonly structures: readonly StructureRow[];
  /** The changes of presets that `structures` has gone through. */
  readonly toggles: Toggles;
}

export const MAX_MEMBERS = 1000;
export const MAX_PARTITIONS = 20_000;
export const MAX_BACKUPS = 6;
/** Chains given up that a view remembers. */
export const MAX_REPLACED = 8;
const MAX_REPLICAS = 2 * (MAX_BACKUPS + 1);

export const memberInfo: Field<MemberInfo> = record({ id: uuid, address: text(256), leaving: bool });
export const structureRow: Field<StructureRow> = record({
  service: text(64),
  pattern: text(256),
  options: text(65_536),
});

const head = record({
  lineage: uuid,
  number: u32,
  ordered: bool,
  parent: optional(record({ lineage: uuid, number: u32 })),
  replaced: list(uuid, MAX_REPLACED),
  slots: u16,
  members: list(memberInfo, MAX_MEMBERS),
  /** Members named in the table that are not in the view any more. */
  strangers: list(uuid, MAX_MEMBERS * 8),
  structures: list(structureRow, 10_000),
  toggles: togglesField,
  partitions: u16,
});

/** A view is written with members as indexes, so that 271 partitions take a few KiB. */
export const viewField: Field<View> = {
  type: 'view{lineage, number, ordered, parent, replaced, members, slots, table, target, structures, toggles}',
  write(writer, view) {
    const index = new Map<MemberId, number>(view.members.map((member, i) => [member.id, i]));
    const strangers: MemberId[] = [];
    const refer = (id: MemberId) => {
      if (index.has(id)) return;
      index.set(id, view.members.length + strangers.length);
      strangers.push(id);
    };
    for (const entry of view.table) {
      for (const replica of entry.replicas) refer(replica.member);
      for (const id of entry.lastSynced) refer(id);
      for (const id of entry.proven) refer(id);
    }
    for (const row of view.target) for (const id of row) refer(id);
    head.write(writer, { ...view, strangers, partitions: view.table.length });
    for (const entry of view.table) writeEntry(writer, entry, index);
    for (const row of view.target) writeIds(writer, row, index);
  },
  read(reader) {
    const start = head.read(reader);
    if (start.partitions > MAX_PARTITIONS)
      throw new ProtocolError(`${start.partitions} partitions are too many`);
    const ids = [...start.members.map((member) => member.id), ...start.strangers];
    const table: TableEntry[] = [];
    for (let i = 0; i < start.partitions; i++) table.push(readEntry(reader, ids));
    const target: MemberId[][] = [];
    for (let i = 0; i < start.partitions; i++) target.push(readIds(reader, ids));
    const { lineage, number, ordered, parent, replaced, slots, members, structures, toggles } = start;
    return { lineage, number, ordered, parent, replaced, slots, members, structures, toggles, table, target };
  },
};

function writeEntry(writer: Writer, entry: TableEntry, index: ReadonlyMap<MemberId, number>): void {
  u32.write(writer, entry.epoch);
  count.write(writer, entry.generation);
  writer.u8((entry.settled ? 1 : 0) | (entry.moving ? 2 : 0));
  writer.u8(entry.replicas.length);
  for (const replica of entry.replicas) {
    writer.u16(((index.get(replica.member) as number) << 1) | (replica.synced ? 1 : 0));
  }
  writeIds(writer, entry.lastSynced, index);
  writeIds(writer, entry.proven, index);
}

function readEntry(reader: Reader, ids: readonly MemberId[]): TableEntry {
  const epoch = u32.read(reader);
  const generation = count.read(reader);
  const flags = reader.u8();
  const size = reader.u8();
  if (size > MAX_REPLICAS) throw new ProtocolError(`${size} replicas of one partition`);
  const replicas: Replica[] = [];
  for (let i = 0; i < size; i++) {
    const word = reader.u16();
    replicas.push({ member: idAt(ids, word >>> 1), synced: (word & 1) === 1 });
  }
  const lastSynced = readIds(reader, ids);
  const proven = readIds(reader, ids);
  const [settled, moving] = [(flags & 1) !== 0, (flags & 2) !== 0];
  return { replicas, epoch, settled, moving, generation, lastSynced, proven };
}

function writeIds(writer: Writer, row: readonly MemberId[], index: ReadonlyMap<MemberId, number>): void {
  writer.u8(row.length);
  for (const id of row) writer.u16(index.get(id) as number);
}

function readIds(reader: Reader, ids: readonly MemberId[]): MemberId[] {
  const size = reader.u8();
  if (size > MAX_REPLICAS) throw new ProtocolError(`${size} holders of one partition`);
  const row: MemberId[] = [];
  for (let i = 0; i < size; i++) row.push(idAt(ids, reader.u16()));
  return row;
}

function idAt(ids: readonly MemberId[], index: number): MemberId {
  const id = ids[index];
  if (id === undefined) throw new ProtocolError(`a view that refers to its member ${index} of ${ids.length}`);
  return id;
}

export function hasMember(view: View, id: MemberId): boolean {
  return view.members.some((member) => member.id === id);
}

/** Members of the view that are none of these. */
export function missingFrom(view: View, members: readonly MemberInfo[]): MemberInfo[] {
  const present = new Set(members.map(({ id }) => id));
  return view.members.filter(({ id }) => !present.has(id));
}

/** The last answer of `lineageTag`: it is asked for with every message, and the lineage hardly ever changes. */
let lastLineage = '';
let lastTag = 0;

/** First 32 bits of a lineage id, as headers carry it. */
export function lineageTag(lineage: string): number {
  if (lineage !== lastLineage) {
    lastLineage = lineage;
    lastTag = Number.parseInt(lineage.slice(0, 8), 16);
  }
  return lastTag;
}

/** A tag as ids of merges and reports show it. */
export function tagText(tag: number): string {
  return tag.toString(16).padStart(8, '0');
}

/**
 * A quorum of the members (oldest first): more than half, or exactly half with the oldest among them, so that a
 * cluster of two survives the loss of the younger one.
 */
export function isQuorum(members: readonly MemberInfo[], has: (id: MemberId) => boolean): boolean {
  let present = 0;
  for (const member of members) if (has(member.id)) present++;
  const oldest = members[0];
  if (2 * present === members.length) return oldest !== undefined && has(oldest.id);
  return 2 * present > members.length;
}
