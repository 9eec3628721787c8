/** What a check of a run with splits brought. */
import type { Finding } from '../workload/recorder.js';
import type { Figures } from './figures.js';

export interface Judged {
  readonly findings: readonly Finding[];
  readonly figures: Figures;
}
