/** A value with where it comes from. Made by the proxy of the map. */
import { tagText } from '../../../src/cluster/view.js';
import type { AnswerPlace } from '../../call.js';
import type { NearPlace } from '../../near.js';

export interface WithMeta<V> {
  /** Null when the key has none. */
  readonly value: V | null;
  readonly source: 'primary' | 'backup' | 'nearCache';
  /**
   * When the replica or the near cache answered, the value was at least as new as this long ago, ms; Infinity when the
   * replica does not know.
   */
  readonly ageMs: number;
  /** Of the partition, in the history that answered: number of the view of its takeover, and of the change. */
  readonly position: { readonly view: number; readonly sequence: number };
  /** First 8 hexadecimal digits of the lineage that answered: that of the majority, or of a fork. */
  readonly lineage: string;
}

export function withMeta<V>(value: V | null, place: AnswerPlace | NearPlace | null): WithMeta<V> {
  if (place === null)
    return { value, source: 'primary', ageMs: 0, position: { view: 0, sequence: 0 }, lineage: tagText(0) };
  const { source, ageMs, position, lineage, view } = place;
  return { value, source, ageMs, position: { view, sequence: position.seq }, lineage: tagText(lineage) };
}
