/** Tells people and listeners what became of this member's place: log lines and events. Called by the composition. */
import { HandshakeRefusedError } from '../base/errors.js';
import type { Events } from '../base/events.js';
import type { Logger } from '../base/ports.js';
import type { StructureRow, View } from '../cluster/view.js';
import type { NodeEvents } from './events.js';
import { logJoined, logLineage, logRemoved } from './view-log.js';

/** Foreign clusters that are told of once. */
const MAX_FOREIGN = 100;

export class Tidings {
  readonly #logger: Logger;
  readonly #events: Events<NodeEvents>;
  readonly #clusterName: string;
  readonly #foreign = new Set<string>();
  /** The last view that this member was in. */
  #last: View | null = null;

  constructor(logger: Logger, events: Events<NodeEvents>, clusterName: string) {
    this.#logger = logger;
    this.#events = events;
    this.#clusterName = clusterName;
  }

  adopted(view: View, before: View | null, rows: readonly StructureRow[]): void {
    const last = this.#last;
    this.#last = view;
    this.#events.emit('view', view);
    if (last !== null && last.lineage !== view.lineage) {
      logLineage(this.#logger, view, last);
      this.#events.emit('lineage', { view, before: last });
    } else if (before === null) logJoined(this.#logger, view, rows);
    if (before === null) this.#events.emit('joined', view);
  }

  partitionLost(partition: number): void {
    this.#logger.log('error', 'a partition was lost and starts empty', { partition });
    this.#events.emit('partitionLost', { partition });
  }

  removed(view: View, hasLeft: boolean): void {
    logRemoved(this.#logger, view, hasLeft);
    this.#events.emit('removed', view);
  }

  /** Two clusters that were founded by order do not merge; each goes on. */
  refused({ lineage, members }: View): void {
    if (this.#foreign.has(lineage)) return;
    if (this.#foreign.size < MAX_FOREIGN) this.#foreign.add(lineage);
    const why = `another cluster of the name '${this.#clusterName}' was founded by order as well (lineage ${lineage}); neither merges into the other`;
    this.#logger.log('error', why, { members: members.map(({ address }) => address) });
    this.#events.emit('refused', new HandshakeRefusedError(why));
  }
}
