/** What members ask each other about themselves, for the embedded API: questions of this one, and its answers to others. */
import { Inquiries } from '../../client/core/inquiries.js';
import type { Reader } from '../base/bytes.js';
import type { Clock } from '../base/ports.js';
import type { MemberId, View } from '../cluster/view.js';
import { statusReport, statusRequest } from '../policy/messages.js';
import type { MemberReport } from '../policy/status.js';
import { type Header, NO_PARTITION } from '../wire/frame.js';
import type { Peers } from '../wire/peers.js';

export class MemberInquiries {
  readonly #self: MemberId;
  readonly #peers: () => Peers | null;
  readonly #report: () => MemberReport;
  readonly #inquiries: Inquiries;

  constructor(clock: Clock, self: MemberId, peers: () => Peers | null, report: () => MemberReport) {
    this.#self = self;
    this.#peers = peers;
    this.#report = report;
    this.#inquiries = new Inquiries(clock, (to, sequence) => this.#ask(to, sequence));
  }

  #ask(to: MemberId, sequence: number): boolean {
    const peers = this.#peers();
    const link = peers?.link(to) ?? null;
    if (peers === null || link === null) return false;
    link.send(statusRequest, { ...peers.address(NO_PARTITION), sequence }, {});
    return true;
  }

  /** What the members of a view that answer say about themselves, this one included. */
  async reports({ members }: View): Promise<Map<MemberId, MemberReport>> {
    const ids = members.map(({ id }) => id);
    const reports = await this.#inquiries.all(ids.filter((id) => id !== this.#self));
    return ids.includes(this.#self) ? reports.set(this.#self, this.#report()) : reports;
  }

  /** The same of the others that this member has a way to now. */
  connected({ members }: View): Promise<Map<MemberId, MemberReport>> {
    const others = members.map(({ id }) => id).filter((id) => id !== this.#self);
    return this.#inquiries.all(others.filter((id) => this.#peers()?.link(id) != null));
  }

  /** The questions that are open end without an answer. */
  close(): void {
    this.#inquiries.close();
  }

  /** Handles questions and answers; false when a message is neither. */
  receive(from: MemberId, header: Header, reader: Reader): boolean {
    if (header.message === statusReport.id) {
      this.#inquiries.answered(header.sequence, statusReport.read(reader).json);
      return true;
    }
    if (header.message !== statusRequest.id) return false;
    const peers = this.#peers();
    if (peers === null) return true;
    const address = { ...peers.address(NO_PARTITION), sequence: header.sequence };
    peers.link(from)?.send(statusReport, address, { json: JSON.stringify(this.#report()) });
    return true;
  }
}
