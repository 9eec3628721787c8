/**
 * Asks members what they hold and do, and waits for their answers. A client has one, and each member for its embedded API.
 * Invariant: every question is settled within 2 s, with null where nobody answered.
 */
import type { Clock, Timer } from '../../src/base/ports.js';
import type { MemberId } from '../../src/cluster/view.js';
import { readMemberReport } from '../../src/policy/member-report.js';
import type { MemberReport } from '../../src/policy/status.js';

const ANSWER_MS = 2000;
const RETRY_MS = 25;

export class Inquiries {
  readonly #clock: Clock;
  readonly #send: (to: MemberId, sequence: number) => boolean;
  readonly #waiters = new Map<number, (report: MemberReport | null) => void>();
  #next = 1;
  #isClosed = false;

  /** `send`: sends a `statusRequest`; false when there is no way to the member now. */
  constructor(clock: Clock, send: (to: MemberId, sequence: number) => boolean) {
    this.#clock = clock;
    this.#send = send;
  }

  /** The reports of those that answer. */
  async all(ids: readonly MemberId[]): Promise<Map<MemberId, MemberReport>> {
    const reports = new Map<MemberId, MemberReport>();
    await Promise.all(
      ids.map(async (id) => {
        const report = await this.#ask(id);
        if (report !== null) reports.set(id, report);
      }),
    );
    return reports;
  }

  /** Right after connecting, the way to a member may still be on its way: asks again until the time is over. */
  #ask(id: MemberId): Promise<MemberReport | null> {
    if (this.#isClosed) return Promise.resolve(null);
    const sequence = this.#next++;
    const deadlineMs = this.#clock.now() + ANSWER_MS;
    return new Promise((resolve) => {
      let timer: Timer | null = null;
      const done = (report: MemberReport | null) => {
        timer?.cancel();
        this.#waiters.delete(sequence);
        resolve(report);
      };
      const ask = () => {
        if (this.#clock.now() >= deadlineMs) {
          done(null);
          return;
        }
        timer = this.#clock.setTimer(this.#send(id, sequence) ? ANSWER_MS / 2 : RETRY_MS, ask);
      };
      this.#waiters.set(sequence, done);
      ask();
    });
  }

  /** A `statusReport` arrived; throws a `ProtocolError` when it has another form. */
  answered(sequence: number, json: string): void {
    const report = readMemberReport(json);
    this.#waiters.get(sequence)?.(report);
  }

  /** Nobody answers any more. */
  close(): void {
    this.#isClosed = true;
    for (const done of [...this.#waiters.values()]) done(null);
  }
}
