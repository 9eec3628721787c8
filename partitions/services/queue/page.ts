/** What fits into one reply of a queue. Called by its handlers. */
import type { Item } from './items.js';
import type { QueueState } from './state.js';

/** Of items in one reply; one alone may be larger. */
const MAX_REPLY_BYTES = 1024 * 1024;

/** As many of the items from an index on as fit into a reply. */
export function page(state: QueueState, from: number, max: number): Item[] {
  const found: Item[] = [];
  let sizeBytes = 0;
  for (let i = from; i < state.items.count && found.length < max; i++) {
    const item = state.items.at(i);
    sizeBytes += item.sizeBytes;
    if (found.length > 0 && sizeBytes > MAX_REPLY_BYTES) break;
    found.push(item);
  }
  return found;
}
