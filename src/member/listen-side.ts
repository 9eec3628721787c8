/**
 * The two sides of listeners in a member: it tells processes of changes in the partitions that it leads, and its embedded
 * API may listen itself. Passes on what clients that talk to this member only ask others. Composition only. Called by the
 * near side of the member.
 */
import * as messages from '../../listeners/messages.js';
import { Subscriber } from '../../listeners/subscriber.js';
import { Teller } from '../../listeners/teller.js';
import type { ListenerLink, TellFaults } from '../../listeners/telling.js';
import type { RingLimits } from '../../partitions/events/ring.js';
import type { Executor } from '../../partitions/executor.js';
import type { StructureOptions } from '../../partitions/service.js';
import type { Replication } from '../../replication/replication.js';
import { Reader, Writer } from '../base/bytes.js';
import type { Ports } from '../base/ports.js';
import type { MemberId, View } from '../cluster/view.js';
import { HEADER_BYTES, type Header, NO_PARTITION } from '../wire/frame.js';
import type { Link } from '../wire/link.js';
import type { MessageDef } from '../wire/message.js';
import type { Admission } from './admission.js';

export interface ListenFaults extends TellFaults {
  /** Smaller rings than usual. */
  readonly rings?: RingLimits;
}

export interface ListenSideHost {
  readonly self: MemberId;
  readonly ports: Pick<Ports, 'clock' | 'logger' | 'random'>;
  where(): { readonly view: number; readonly lineage: number };
  linkTo(member: MemberId): Link | null;
  readonly replication: Replication;
  readonly executor: Executor;
  readonly admission: Admission;
  /** As they are served. */
  optionsOf(service: string, structure: string): StructureOptions;
  /** Number of the session of the embedded API. */
  readonly client: number;
  readonly timeoutMs: number;
  readonly faults: ListenFaults;
}

const MIB = 1024 * 1024;
/** Of events that a member keeps for listeners which are behind. */
const RINGS: RingLimits = { events: 8_192, bytes: 4 * MIB, memberBytes: 64 * MIB };

export class ListenSide {
  readonly teller: Teller;
  readonly subscriber: Subscriber;
  readonly #host: ListenSideHost;
  /** Takes an answer to the client that this member has asked for. */
  forwardAnswer: (header: Header, reader: Reader) => void = () => {};

  constructor(host: ListenSideHost) {
    this.#host = host;
    const { self, ports, replication, faults, timeoutMs } = host;
    const { clock, logger, random } = ports;
    this.teller = new Teller({
      self,
      clock,
      tellable: (...of) => this.#tellable(...of),
      leads: (partition) => replication.isPrimary(partition),
      find: (partition) => replication.holdings.find(partition),
      replicas: () => replication.holdings.all(),
      knows: (serviceId) => host.executor.service(serviceId) !== undefined,
      limits: faults.rings ?? RINGS,
      faults,
    });
    const uuid = () => random.uuid();
    const send = <T>(to: MemberId, def: MessageDef<T>, body: T) => this.#send(to, def, body);
    this.subscriber = new Subscriber({ clock, logger, timeoutMs, uuid, send });
  }

  #tellable(partition: number, serviceId: number, structure: string): number {
    const { replication, executor, admission, where, optionsOf } = this.#host;
    const service = executor.service(serviceId);
    if (service === undefined || !replication.isServing(partition)) return -1;
    const options = admission.asKnown(optionsOf(service.name, structure), where());
    if (admission.mayAnswer(partition, options) !== null) return -1;
    const { sync } = options.backups;
    return sync === 0 ? replication.replica(partition).seq : replication.committed(partition, sync);
  }

  #send<T>(to: MemberId, def: MessageDef<T>, body: T): void {
    const { self, linkTo, client, ports } = this.#host;
    if (to !== self) linkTo(to)?.send(def, this.#address(client), body);
    // In a turn of its own, as from any other member.
    else ports.clock.defer(() => this.#asked(def.id, body, self, this.#ownLink()));
  }

  #ownLink(): ListenerLink {
    const send = <T>(def: MessageDef<T>, body: T) => {
      // As bytes, because what is told is kept by nobody else: a listener may change what it gets.
      const out = new Writer(256);
      def.write(out, body);
      const bytes = out.toBytes();
      this.#host.ports.clock.defer(() => this.subscriber.receive(def.id, new Reader(bytes)));
    };
    return { queuedBytes: 0, send };
  }

  #address(client: number) {
    return { partition: NO_PARTITION, ...this.#host.where(), client, sequence: 0 };
  }

  /** Handles what clients ask; false when the message is another one. `forwards` is called when another member is asked. */
  fromClient(link: Link, header: Header, reader: Reader, forwards: () => void): boolean {
    const { message, client } = header;
    const def = REQUESTS.get(message);
    if (def === undefined) return false;
    const whole = reader.bytes.subarray(reader.offset - HEADER_BYTES, reader.end);
    const body = def.read(reader);
    if (body.to !== this.#host.self) {
      forwards();
      const to = this.#host.linkTo(body.to);
      // What is not passed on is asked again.
      if (to?.isCongested === false) to.forward(whole);
    } else
      this.#asked(
        message,
        body,
        `client ${client}`,
        this.#linkOf(() => link, client),
      );
    return true;
  }

  /** Handles what members ask and tell; false when the message is another one. */
  fromMember(from: MemberId, header: Header, reader: Reader): boolean {
    const { message, client } = header;
    const def = REQUESTS.get(message);
    if (def !== undefined) {
      const body = def.read(reader);
      const link = this.#linkOf(() => this.#host.linkTo(from), client);
      if (body.to === this.#host.self) this.#asked(message, body, `${from} ${client}`, link);
      return true;
    }
    if (!Subscriber.knows(message)) return false;
    if (client === this.#host.client) this.subscriber.receive(message, reader);
    else this.forwardAnswer(header, reader);
    return true;
  }

  #linkOf(link: () => Link | null, client: number): ListenerLink {
    return {
      get queuedBytes() {
        return link()?.queuedBytes ?? 0;
      },
      send: (def, body) => link()?.send(def, this.#address(client), body),
    };
  }

  #asked(message: number, body: unknown, key: string, link: ListenerLink): void {
    if (message === messages.listen.id) this.teller.listen(key, link, body as never);
    else if (message === messages.heard.id) this.teller.heard(key, link, body as never);
    else this.teller.unlisten(key, (body as { readonly listener: number }).listener);
  }

  adopted(view: View): void {
    this.teller.adopted();
    this.subscriber.adopted(view);
  }

  stop(): void {
    this.subscriber.stop();
    this.teller.stop();
  }
}

const REQUESTS: ReadonlyMap<number, MessageDef<{ readonly to: MemberId }>> = new Map(
  [messages.listen, messages.unlisten, messages.heard].map((def) => [def.id, def as never]),
);
