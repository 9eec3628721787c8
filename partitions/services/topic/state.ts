/**
 * One topic, in the partition of its name. Messages are not kept: they are told as events of the position that publishes
 * them, on every replica. What is kept is that the topic exists, where its last message was, and which sides of splits
 * it was merged with. Invariant: every change goes through `publish`, `destroy`, `merge` or `purge`, which write the delta
 * that a backup needs for the same contents and the same events. Called by the handlers, replication and migration.
 */
import type { Reader, Writer } from '../../../src/base/bytes.js';
import { ProtocolError } from '../../../src/base/errors.js';
import { encodeKey } from '../../../src/wire/keys.js';
import { MAX_VALUE_BYTES } from '../../../src/wire/values.js';
import type { ChangeSink } from '../../events/event.js';
import { compareVersions, mergePolicyOf } from '../../merge-policies.js';
import type {
  Actor,
  MergeContext,
  MergeSince,
  OperationContext,
  PurgeHorizon,
  ServiceState,
  StateEnvironment,
  Version,
} from '../../service.js';
import { nameOf, readVersion, writeVersion } from '../../store/record-version.js';
import { isSameActor, nameOfActor, readActor, writeActor } from '../actors.js';
import { HEAD_BYTES, headBytes } from './head.js';
import { MAX_MESSAGES } from './ops.js';

const DELTA = { publish: 1, destroy: 2, merge: 3, purge: 4 } as const;
/** Sides of splits that are remembered; one that is forgotten, and comes again, is one gap more. */
const MAX_MARKS = 16;
/** What a topic, and each of its marks, takes in memory, roughly. */
const TOPIC_BYTES = 160;
const MARK_BYTES = 96;
const NOTHING = new Uint8Array(0);

/** The last message of a side. */
interface Mark {
  readonly actor: Actor;
  readonly seq: number;
}

interface Topic {
  readonly isAlive: boolean;
  /** Of the last publish or destroy. */
  readonly version: Version;
  /** Position of the last change. */
  readonly seq: number;
  /** Of the last message, or of a merge that brought word of some; a position of 0 for none. */
  readonly last: Mark;
}

export class TopicState implements ServiceState {
  readonly #name: string;
  #topic: Topic | null = null;
  /** Of sides that were merged, the latest last; their position is that of the merge. */
  #marks: readonly Mark[] = [];
  #marksSeq = 0;
  events: ChangeSink | null = null;

  constructor({ name }: StateEnvironment) {
    this.#name = name;
  }

  get entryCount(): number {
    return this.#topic?.isAlive === true ? 1 : 0;
  }

  get sizeBytes(): number {
    return this.#topic === null ? 0 : TOPIC_BYTES + this.#marks.length * MARK_BYTES;
  }

  /** Tells of messages, at least one, as the one change of this operation. */
  publish(messages: readonly Uint8Array[], context: OperationContext): void {
    const { seq, actor, client, wallMs } = context;
    const topic: Topic = { isAlive: true, version: context.version(), seq, last: { actor, seq } };
    const head = headBytes({ client, publishedMs: wallMs });
    const out = context.delta();
    out.u8(DELTA.publish);
    writeTopic(out, topic);
    out.raw(head);
    out.u32(messages.length);
    for (const message of messages) out.bytes(message);
    this.#topic = topic;
    for (const message of messages) this.events?.tell(seq, 'added', head, message, null);
  }

  destroy(context: OperationContext): void {
    const topic = this.#topic;
    if (topic === null) return;
    if (!topic.isAlive) {
      context.dependsOn(topic.seq);
      return;
    }
    const next: Topic = { ...topic, isAlive: false, version: context.version(), seq: context.seq };
    const out = context.delta();
    out.u8(DELTA.destroy);
    writeTopic(out, next);
    this.#topic = next;
  }

  /**
   * Takes in that another side of a split has published: whoever listens here is told of a gap, once. Whether the topic
   * exists is what was decided last. See `Service.merge`.
   */
  merge(records: Reader, merge: MergeContext): void {
    const { operation } = merge;
    const { seq } = operation;
    while (records.remaining > 0) {
      const hasMessages = records.u8() === 1;
      const source = readTopic(records, seq);
      operation.observe(source.version);
      const isNews = hasMessages && !this.#marks.some((mark) => isSameMark(mark, source.last));
      const takes = mergePolicyOf(merge.policy)?.takes !== false;
      const isLater =
        takes && (this.#topic === null || compareVersions(this.#topic.version, source.version) < 0);
      if (isNews) this.#report(takes, merge);
      if (!isNews && !isLater) continue;
      const { isAlive, version } = isLater || this.#topic === null ? source : this.#topic;
      const last = isNews
        ? { actor: operation.actor, seq }
        : (this.#topic?.last ?? { ...source.last, seq: 0 });
      const topic: Topic = { isAlive: isAlive && (isLater || this.#topic !== null), version, seq, last };
      const marks = isNews ? [...this.#marks, source.last].slice(-MAX_MARKS) : this.#marks;
      const out = operation.delta();
      out.u8(DELTA.merge);
      out.u8(isNews ? 1 : 0);
      writeTopic(out, topic);
      writeMarks(out, marks);
      this.#merged(topic, marks, isNews);
      return;
    }
  }

  #report(takes: boolean, merge: MergeContext): void {
    if (takes) merge.merged(1);
    else {
      const key = encodeKey(this.#name);
      merge.discarded({ key, kept: null, discarded: null, side: 'source', reason: merge.policy });
    }
  }

  #merged(topic: Topic, marks: readonly Mark[], isNews: boolean): void {
    this.#topic = topic;
    this.#marks = marks;
    this.#marksSeq = topic.seq;
    if (isNews) this.events?.tell(topic.seq, 'merged', NOTHING, null, null);
  }

  /** Forgets a topic that was destroyed behind the horizon; see `Service.purge`. */
  purge(horizon: PurgeHorizon, context: OperationContext): void {
    if (!this.#isPurgeable(horizon)) return;
    const out = context.delta();
    out.u8(DELTA.purge);
    out.f64(horizon.seq);
    out.f64(horizon.ms);
    this.dispose();
  }

  #isPurgeable({ seq, ms }: PurgeHorizon): boolean {
    const topic = this.#topic;
    return topic !== null && !topic.isAlive && topic.seq <= seq && topic.version.ms < ms;
  }

  apply(delta: Reader, seq: number): void {
    const kind = delta.u8();
    if (kind === DELTA.publish) this.#applyPublish(delta, seq);
    else if (kind === DELTA.destroy) this.#topic = readTopic(delta, seq);
    else if (kind === DELTA.merge) {
      const isNews = delta.u8() === 1;
      this.#merged(readTopic(delta, seq), readMarks(delta), isNews);
    } else if (kind === DELTA.purge) {
      const horizon = { seq: delta.f64(), ms: delta.f64() };
      if (this.#isPurgeable(horizon)) this.dispose();
    } else throw new ProtocolError(`unknown delta of a topic: ${kind}`);
  }

  #applyPublish(delta: Reader, seq: number): void {
    this.#topic = readTopic(delta, seq);
    const head = delta.raw(HEAD_BYTES);
    const count = delta.u32();
    if (count > MAX_MESSAGES) throw new ProtocolError(`a topic with ${count} messages at once`);
    for (let i = 0; i < count; i++)
      this.events?.tell(seq, 'added', head, delta.blob(MAX_VALUE_BYTES + 1), null);
  }

  copy(_cursor: number, _maxBytes: number, out: Writer): number {
    if (this.#topic !== null) {
      out.f64(this.#topic.seq);
      writeTopic(out, this.#topic);
      out.f64(this.#marksSeq);
      writeMarks(out, this.#marks);
    }
    return -1;
  }

  paste(records: Reader): void {
    while (records.remaining > 0) {
      const topic = readTopic(records, whole(records));
      const marksSeq = whole(records);
      const marks = readMarks(records);
      if (this.#topic === null || this.#topic.seq < topic.seq) this.#topic = topic;
      // A delta that came before the copy may have left them out.
      if (this.#marksSeq < marksSeq) {
        this.#marks = marks;
        this.#marksSeq = marksSeq;
      }
    }
  }

  changes(_cursor: number, { sharedSeq }: MergeSince, _maxBytes: number, out: Writer): number {
    const topic = this.#topic;
    if (topic === null || topic.seq <= sharedSeq) return -1;
    out.u8(topic.last.seq > sharedSeq ? 1 : 0);
    writeTopic(out, topic);
    return -1;
  }

  dump(): readonly string[] {
    if (this.#topic === null) return [];
    const { isAlive, version, seq, last } = this.#topic;
    const marks = this.#marks.map(textOf).join(' ');
    const end = isAlive ? 'alive' : 'tombstone';
    return [`topic ${nameOf(version)} at ${seq} last ${textOf(last)} merged [${marks}] ${end}`];
  }

  dispose(): void {
    this.#topic = null;
    this.#marks = [];
    this.#marksSeq = 0;
  }
}

function isSameMark(a: Mark, b: Mark): boolean {
  return a.seq === b.seq && isSameActor(a.actor, b.actor);
}

function textOf({ actor, seq }: Mark): string {
  return `${nameOfActor(actor)}:${seq}`;
}

/** Without its position: a delta has it from the stream, a copy writes it in front. */
function writeTopic(out: Writer, { isAlive, version, last }: Topic): void {
  out.u8(isAlive ? 1 : 0);
  writeVersion(out, version);
  writeMark(out, last);
}

function readTopic(input: Reader, seq: number): Topic {
  // Fields are read in the order in which they stand here.
  return { isAlive: input.u8() === 1, version: readVersion(input), last: readMark(input), seq };
}

function writeMark(out: Writer, { actor, seq }: Mark): void {
  writeActor(out, actor);
  out.f64(seq);
}

function readMark(input: Reader): Mark {
  return { actor: readActor(input), seq: whole(input) };
}

function writeMarks(out: Writer, marks: readonly Mark[]): void {
  out.u16(marks.length);
  for (const mark of marks) writeMark(out, mark);
}

function readMarks(input: Reader): Mark[] {
  const size = input.u16();
  if (size > MAX_MARKS) throw new ProtocolError(`a topic with ${size} marks of merges`);
  return Array.from({ length: size }, () => readMark(input));
}

function whole(input: Reader): number {
  const value = input.f64();
  if (!Number.isSafeInteger(value) || value < 0) throw new ProtocolError(`a topic with the number ${value}`);
  return value;
}
