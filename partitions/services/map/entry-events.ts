/**
 * The events of a map's records: from the record that is put and the one that it takes the place of, whatever replica
 * applies it. An entry that was over when another one took its place has expired: the new one does not have its time of
 * creation. Called by the state of the map.
 */
import type { ChangeSink, EventKind } from '../../events/event.js';
import { murmur3 } from '../../hash.js';
import { EMPTY_BYTES } from '../../limits.js';
import { REMOVAL, type RecordMeta, type RemovalCause } from '../../store/record-layout.js';
import type { RecordStore } from '../../store/record-store.js';
import { wasLoaded } from './owed.js';

const KINDS: Readonly<Record<RemovalCause, EventKind>> = {
  [REMOVAL.removed]: 'removed',
  [REMOVAL.evicted]: 'evicted',
  [REMOVAL.expired]: 'expired',
  [REMOVAL.cleared]: 'removed',
};

/** Called before the record is put. Gives whether an entry is gone. */
export function tellPut(
  sink: ChangeSink,
  store: RecordStore,
  record: { readonly key: Uint8Array; readonly value: Uint8Array; readonly meta: RecordMeta },
  isMerge: boolean,
): boolean {
  const { key, value, meta } = record;
  const { seq } = meta;
  const ref = store.find(murmur3(key), key);
  const old = ref < 0 || store.isTombstone(ref) ? null : store.valueOf(ref);
  // What is overwritten while it is shown keeps its time of creation.
  const isOver = old !== null && !isMerge && meta.createdMs !== store.createdMs(ref);
  if (meta.tombstone) {
    const kind = isOver && meta.cause !== REMOVAL.evicted ? 'expired' : KINDS[meta.cause];
    if (old !== null) sink.tell(seq, kind, key, null, old);
    return old !== null;
  }
  if (isMerge) {
    // A merge that keeps an entry gives it a new version all the same.
    if (old === null || Buffer.compare(old, value) !== 0) sink.tell(seq, 'merged', key, value, old);
  } else if (old === null) sink.tell(seq, wasLoaded(meta) ? 'loaded' : 'added', key, value, null);
  else if (isOver) {
    sink.tell(seq, 'expired', key, null, old);
    sink.tell(seq, 'added', key, value, null);
  } else sink.tell(seq, 'updated', key, value, old);
  return false;
}

/** What is told behind the entries that one change of several keys took away, when it took them because all had to go. */
export class Sweep {
  #cause: RemovalCause = REMOVAL.removed;
  #entries = 0;

  begin(): void {
    this.#entries = 0;
  }

  gone({ cause }: RecordMeta): void {
    this.#cause = cause;
    this.#entries++;
  }

  end(sink: ChangeSink | null, seq: number): void {
    if (this.#entries === 0 || sink === null) return;
    if (this.#cause === REMOVAL.cleared) sink.tell(seq, 'mapCleared', EMPTY_BYTES, null, null, this.#entries);
    else if (this.#cause === REMOVAL.evicted)
      sink.tell(seq, 'mapEvicted', EMPTY_BYTES, null, null, this.#entries);
  }
}
