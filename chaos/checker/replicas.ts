/**
 * After a quiet time all replicas of a partition have the same contents: compares the primary with every other synced
 * replica, structure by structure. Called by the runner; knows replicas only by their dumps.
 */

/** One replica as it is shown to this check. */
export interface ReplicaDump {
  readonly host: string;
  readonly isPrimary: boolean;
  readonly seq: number;
  /** Structure and its entries as text. */
  readonly structures: ReadonlyMap<string, readonly string[]>;
}

/** A line for each difference of a partition; empty when all are equal. */
export function compareReplicas(partition: number, replicas: readonly ReplicaDump[]): string[] {
  const primary = replicas.find(({ isPrimary }) => isPrimary);
  if (primary === undefined) return [`partition ${partition} has no primary`];
  const problems: string[] = [];
  for (const replica of replicas) {
    if (replica === primary) continue;
    const where = `partition ${partition}: ${replica.host} beside its primary ${primary.host}`;
    if (replica.seq !== primary.seq)
      problems.push(`${where} is at position ${replica.seq} of ${primary.seq}`);
    const names = new Set([...primary.structures.keys(), ...replica.structures.keys()]);
    for (const name of names) {
      const difference = firstDifference(
        primary.structures.get(name) ?? [],
        replica.structures.get(name) ?? [],
      );
      if (difference !== '') problems.push(`${where} differs in ${name}: ${difference}`);
    }
  }
  return problems;
}

function firstDifference(primary: readonly string[], other: readonly string[]): string {
  const [ofPrimary, ofOther] = [new Set(primary), new Set(other)];
  const missing = primary.find((line) => !ofOther.has(line));
  if (missing !== undefined) return `lacks ${missing}`;
  const surplus = other.find((line) => !ofPrimary.has(line));
  return surplus === undefined ? '' : `has ${surplus}`;
}
