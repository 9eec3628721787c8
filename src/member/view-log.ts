/** What a member logs about its own way into clusters and out of them. */
import type { Logger } from '../base/ports.js';
import type { StructureRow, View } from '../cluster/view.js';
import { consistentSyncBackups, rowDifferences } from '../config/rows.js';

/** `problems`: a line for each join address, with the reason why it did not answer. */
export function logFounded(logger: Logger, address: string, problems: readonly string[]): void {
  if (problems.length > 0) {
    logger.log('warn', 'no cluster answered at the join addresses, so this member founds a new one', {
      problems,
    });
  }
  logger.log('info', 'founded a cluster', { address });
}

/** `rows`: the structures of this member's own configuration; where the cluster's differ, those win. */
export function logJoined(logger: Logger, view: View, rows: readonly StructureRow[]): void {
  const members = view.members.map(({ address }) => address);
  if (view.parent === null) logger.log('info', 'in the cluster', { view: view.number, members });
  else
    logger.log('warn', 'in a fork of the cluster, a side of a split without the majority', {
      view: view.number,
      members,
      effect:
        'consistent (PC) structures and partitions that no member here holds are refused until the majority is back',
      help: 'elsegrid cluster shows who is missing; start members only when the majority runs, or recover first',
    });
  if (!view.ordered && consistentSyncBackups(view.structures) !== null) {
    logger.log(
      'warn',
      'consistent (PC) structures are configured, but the cluster was not founded by order',
      {
        effect: 'calls to them fail with ERR_NOT_FOUNDED',
        help: 'run elsegrid cluster found once, or set founds: true at the first start of a cluster',
      },
    );
  }
  for (const difference of rowDifferences(view.structures, rows)) {
    logger.log('warn', "the cluster's configuration differs and wins", { ...difference });
  }
}

export function logRemoved(logger: Logger, view: View, hasLeft: boolean): void {
  if (hasLeft) logger.log('info', 'this member has left and handed over its data', { view: view.number });
  else logger.log('warn', 'this member was removed from the view while it ran', { view: view.number });
}

/** This member goes on in another lineage: a fork begins or ends, or two clusters become one. */
export function logLineage(logger: Logger, view: View, before: View): void {
  const members = view.members.map(({ address }) => address);
  const fields = { lineage: view.lineage, from: before.lineage, view: view.number, members };
  if (view.parent === null && before.parent !== null)
    logger.log('warn', 'the split is over: back from a fork', fields);
  else if (view.parent === null) logger.log('warn', 'this cluster was merged into another one', fields);
  else logger.log('warn', 'goes on in a fork, a side of a split without the majority', fields);
}
