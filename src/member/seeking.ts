/** Questions of processes that look for a cluster, and their answers. Called by the member's composition root. */
import type { Reader } from '../base/bytes.js';
import { seekCluster, seeking, viewMessage } from '../cluster/messages.js';
import type { MemberId, View } from '../cluster/view.js';
import type { Header } from '../wire/frame.js';
import type { MessageDef } from '../wire/message.js';
import type { Discovery } from './discovery.js';

export interface SeekingHost {
  address(): string;
  view(): View | null;
  /** This process was never in a cluster. */
  mayFound(): boolean;
  discovery(): Discovery | null;
  /** A process wants to be talked to at this address. */
  reach(id: MemberId, address: string): void;
  send<T>(to: MemberId, def: MessageDef<T>, body: T): void;
}

export class Seeking {
  readonly #host: SeekingHost;

  constructor(host: SeekingHost) {
    this.#host = host;
  }

  ask(id: MemberId): void {
    this.#host.send(id, seekCluster, { address: this.#host.address(), mayFound: this.#host.mayFound() });
  }

  /** False when the message is another one. */
  receive(from: MemberId, { message }: Header, reader: Reader, nowMs: number): boolean {
    if (message === seekCluster.id) {
      const { address, mayFound } = seekCluster.read(reader);
      this.#asked(from, address, mayFound, nowMs);
      return true;
    }
    if (message !== seeking.id) return false;
    const { address, mayFound } = seeking.read(reader);
    this.#host.discovery()?.seeker(from, address, nowMs, mayFound);
    return true;
  }

  #asked(from: MemberId, address: string, mayFound: boolean, nowMs: number): void {
    this.#host.reach(from, address);
    const view = this.#host.view();
    if (view !== null) {
      this.#host.send(from, viewMessage, { view, fences: null });
      return;
    }
    this.#host.discovery()?.seeker(from, address, nowMs, mayFound);
    this.#host.send(from, seeking, { address: this.#host.address(), mayFound: this.#host.mayFound() });
  }
}
