/** What happens to a member, for whoever runs it. Emitted by `tidings.ts` and the composition. */
import type { GridError } from '../base/errors.js';
import type { View } from '../cluster/view.js';
import type { StoreFailure } from './store-failure.js';

export interface NodeEvents {
  view: View;
  joined: View;
  removed: View;
  /** A partition started empty because nobody could bring its contents back. */
  partitionLost: { readonly partition: number };
  refused: GridError;
  /** A write of a map was set aside, because its store refuses it. */
  storeFailed: StoreFailure;
  /** The member goes on in another lineage. */
  lineage: { readonly view: View; readonly before: View };
}
