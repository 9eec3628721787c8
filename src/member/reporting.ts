/**
 * What the primaries of this member tell the proposers of the next view: at each heartbeat, and in the same turn when
 * something has become complete. Called by the member's composition.
 */
import { partitionReport } from '../cluster/messages.js';
import type { MemberId, View } from '../cluster/view.js';
import type { BodyOf, MessageDef } from '../wire/message.js';
import type { Reports } from './next-view.js';

export interface ReportingHost {
  readonly self: MemberId;
  readonly view: View | null;
  report(): BodyOf<typeof partitionReport>;
  defer(task: () => void): void;
  send<T>(to: MemberId, def: MessageDef<T>, body: T): void;
}

export class Reporting {
  readonly #host: ReportingHost;
  readonly #reports: Reports;
  #isQueued = false;

  constructor(host: ReportingHost, reports: Reports) {
    this.#host = host;
    this.#reports = reports;
  }

  soon(): void {
    if (this.#isQueued) return;
    this.#isQueued = true;
    this.#host.defer(() => {
      this.#isQueued = false;
      this.now();
    });
  }

  now(): void {
    const { view, self } = this.#host;
    if (view === null) return;
    const report = this.#host.report();
    const { settled, ready, behind, stale } = report;
    if (settled.length + ready.length + behind.length + stale.length === 0) return;
    this.#reports.add(report);
    for (const { id } of view.members) if (id !== self) this.#host.send(id, partitionReport, report);
  }
}
