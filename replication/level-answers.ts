/**
 * Answers of a surviving replica to a new primary. Invariant: only a member that has adopted the view of the takeover
 * answers, because by then it has stopped serving under an earlier one; what is asked too early is kept until then.
 * Owned by `replication.ts`.
 */
import type { PartitionReplica } from '../partitions/replica.js';
import type { MemberId, View } from '../src/cluster/view.js';
import type { BodyOf } from '../src/wire/message.js';
import type { ReplicationHost } from './host.js';
import * as messages from './messages.js';
import type { Succession } from './succession.js';
import { levelReply } from './takeover.js';

type Ask = BodyOf<typeof messages.levelRequest>;

export class LevelAnswers {
  readonly #host: ReplicationHost;
  readonly #succession: Succession;
  readonly #early = new Map<number, { readonly from: MemberId; readonly ask: Ask }>();

  constructor(host: ReplicationHost, succession: Succession) {
    this.#host = host;
    this.#succession = succession;
  }

  /** Asked under a view that this member has not adopted yet. */
  tooEarly(partition: number, from: MemberId, ask: Ask): void {
    this.#early.set(partition, { from, ask });
  }

  answer(to: MemberId, replica: PartitionReplica, ask: Ask): void {
    const confirmMs = this.#succession.confirmation(replica.id, ask.takeover, this.#host.clock.now());
    this.#host.send(to, messages.levelReply, replica.id, levelReply(replica, ask, confirmMs));
  }

  /** A view was adopted: what was asked before it is answered where it still applies. */
  adopted(view: View, replicaOf: (partition: number) => PartitionReplica): void {
    for (const [partition, { from, ask }] of this.#early) {
      const replicas = view.table[partition]?.replicas ?? [];
      const isBackup = replicas.some(
        ({ member, synced }, index) => index > 0 && synced && member === this.#host.self,
      );
      if (replicas[0]?.member === from && isBackup) this.answer(from, replicaOf(partition), ask);
    }
    this.clear();
  }

  clear(): void {
    this.#early.clear();
  }
}
