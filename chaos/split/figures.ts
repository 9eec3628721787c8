/** Numbers that a run with splits measured, added up over seeds by campaigns. */
export interface Figures {
  /** Virtual time from the heal to one lineage without leftovers. */
  convergedMs?: number;
  /** Calls on sides that were cut off cleanly, whose partition had a replica there, and those acknowledged. */
  sideCalls?: number;
  sideAcknowledged?: number;
  /** Acknowledgements outside of the majority that were held against the lease. */
  powerlessMs?: number;
  refusedOutside?: number;
  /** Loss ledger. */
  acknowledged?: number;
  present?: number;
  reported?: number;
  superseded?: number;
  lost?: number;
  /** Operations held against the model of linearizability. */
  linearizable?: number;
  /** Queries on sides that were cut off cleanly. */
  sideQueries?: number;
  /** Probes under a cut that lasted. */
  probes?: number;
  /** Most changes of owner of a partition in a minute of a cut that lasted. */
  ownerChanges?: number;
  /** Values that near caches still had and gave when nothing had changed for a while. */
  nearHitsAtRest?: number;
}

export function addFigures(total: Figures, one: Figures): void {
  for (const [name, value] of Object.entries(one) as [keyof Figures, number][]) {
    const before = total[name] ?? 0;
    const isMost = name === 'convergedMs' || name === 'ownerChanges';
    total[name] = isMost ? Math.max(before, value) : before + value;
  }
}
