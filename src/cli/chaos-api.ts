/**
 * What `elsegrid chaos` needs of the simulator, and where it gets it: the campaigns of `chaos/`, read only when a
 * command runs one. Tests hand in another one.
 */
import type * as campaign from '../../chaos/campaign.js';

export type ChaosOptions = campaign.ChaosOptions;
export type ChaosProgress = campaign.ChaosProgress;

/** What the command prints of a campaign. */
export type ChaosSummary = Omit<campaign.ChaosSummary, 'preset' | 'virtualMs' | 'seedsPerSecond' | 'figures'>;

export interface ChaosApi {
  chaosRun(options: ChaosOptions): Promise<ChaosSummary>;
}
