/** Connections that send what nobody should: a member in the simulator drops them and goes on serving. */
import { describe, expect, it } from 'vitest';
import type { SimCluster } from '../../chaos/sim/cluster.js';
import { SimClock } from '../../chaos/sim/virtual-clock.js';
import { writePrefix } from '../../partitions/call.js';
import { Writer } from '../../src/base/bytes.js';
import type { CloseReason, Connection, ConnectionHandler, Transport } from '../../src/base/ports.js';
import { SeededRandom } from '../../src/base/random.js';
import * as clusterMessages from '../../src/cluster/messages.js';
import { beginMessage, endMessage } from '../../src/wire/frame.js';
import type { AnyMessage } from '../../src/wire/message.js';
import { hello } from '../../src/wire/messages.js';
import { PROTOCOL_VERSION, PROTOCOL_VERSION_MIN } from '../../src/wire/version.js';
import { DEFINITIONS, OPERATIONS } from '../wire/definitions.js';
import { encoded } from '../wire/link-bench.js';
import { clusterOf, done, fill, hostsOf, memberOf, missing, viewOf } from './scenario.js';

const CONNECTIONS = 20;
const ROUNDS = 150;

/** Messages that only an honest member may send with valid contents; their bodies are noise here all the same. */
const VIEWS: ReadonlySet<number> = new Set([
  clusterMessages.viewMessage.id,
  clusterMessages.accept.id,
  clusterMessages.promise.id,
]);

type Role = 'nobody' | 'client' | 'member';

/** One connection of the attacker, dialled again whenever it was closed. */
class Peer implements ConnectionHandler {
  #connection: Connection | null = null;
  #isOpen = false;
  readonly #dial: (handler: ConnectionHandler) => Connection;
  readonly #random: SeededRandom;
  readonly #role: Role;
  closes = 0;
  readonly reasons = new Set<string>();

  constructor(role: Role, random: SeededRandom, dial: (handler: ConnectionHandler) => Connection) {
    this.#role = role;
    this.#random = random;
    this.#dial = dial;
  }

  opened(): void {
    this.#isOpen = true;
    if (this.#role !== 'nobody') this.#connection?.send(this.#hello(this.#role));
  }
  frame(): void {}
  drained(): void {}
  closed({ code, reason }: CloseReason): void {
    this.closes++;
    this.reasons.add(`${code} ${reason.replaceAll(/\d+/g, 'n')}`);
    this.#isOpen = false;
    this.#connection = null;
  }

  #hello(role: 'client' | 'member'): Buffer {
    return encoded(hello, {
      clusterName: 'dev',
      versionMin: PROTOCOL_VERSION_MIN,
      versionMax: PROTOCOL_VERSION,
      role,
      id: this.#random.uuid(),
      address: role === 'member' ? 'evil:1' : '',
      partitionCount: role === 'member' ? 11 : 0,
      singleMember: this.#random.below(2) === 0,
    });
  }

  act(): void {
    if (this.#connection === null) this.#connection = this.#dial(this);
    else if (this.#isOpen)
      this.#connection.send(this.#random.below(4) === 0 ? this.#noise() : this.#message());
  }

  #noise(): Buffer {
    return Buffer.from(Array.from({ length: this.#random.below(300) }, () => this.#random.below(256)));
  }

  /** A message of any kind with a header that fits, and a body that hardly does. */
  #message(): Buffer {
    const below = (n: number) => this.#random.below(n);
    const kinds =
      this.#role === 'client' ? OPERATIONS.map(({ request }) => request as AnyMessage) : DEFINITIONS;
    const def = kinds[below(kinds.length)] as AnyMessage;
    const writer = new Writer();
    const at = beginMessage(writer, below(20) === 0 ? below(0x10000) : def.id, {
      partition: below(3) === 0 ? below(0x10000) : below(11),
      view: below(100),
      lineage: below(2) === 0 ? 0 : this.#random.uint32(),
      client: below(5),
      sequence: below(1000),
    });
    if (OPERATIONS.some(({ id }) => id === def.id) && below(4) > 0)
      writePrefix(writer, ['x', 'y', '', 'z'.repeat(240)][below(4)] as string, below(50), below(1e6));
    const size = below(120);
    const isSparse = below(3) > 0 || VIEWS.has(def.id);
    for (let i = 0; i < size; i++) writer.u8(isSparse && below(8) > 0 ? 0 : below(256));
    endMessage(writer, at);
    const bytes = writer.toBytes();
    if (below(15) === 0) bytes.writeUInt32LE(this.#random.uint32(), 0);
    return below(20) === 0 ? bytes.subarray(0, below(bytes.length)) : bytes;
  }
}

function attack(cluster: SimCluster, role: Role, seed: number): Peer[] {
  const clock = new SimClock(cluster.scheduler, 'evil');
  const transport: Transport = cluster.network.transport('evil', clock);
  const random = new SeededRandom(seed, role);
  return Array.from({ length: CONNECTIONS }, (_, i) => {
    const address = `m${1 + (i % 2)}:5701`;
    return new Peer(role, random.fork(`${i}`), (handler) => transport.dial(address, handler));
  });
}

/** What members logged as a mistake of their own. */
function mistakes(cluster: SimCluster): string[] {
  return cluster.logs.filter((line) => / error: (connection dropped|an operation threw)/.test(line));
}

describe.each(['nobody', 'client', 'member'] as const)(
  'twenty connections of a %s that send garbage',
  (role) => {
    it('are dropped for it, while everyone else is served and the view stays', async () => {
      const cluster = await clusterOf(3);
      await fill(cluster, 'm1', 'kept', 50);
      const number = viewOf(cluster, 'm1')?.number;
      const client = cluster.client();
      await done(cluster, client.connect());
      const counter = client.getAtomicLong('counter');
      const peers = attack(cluster, role, 7);
      for (let round = 1; round <= ROUNDS; round++) {
        for (const peer of peers) peer.act();
        await cluster.scheduler.runFor(5);
        if (round % 10 === 0) expect(await done(cluster, counter.incrementAndGet())).toBe(BigInt(round / 10));
      }
      await cluster.scheduler.runFor(6_000);
      const closes = peers.reduce((sum, peer) => sum + peer.closes, 0);
      const reasons = new Set(peers.flatMap((peer) => [...peer.reasons]));
      console.log(`${role}: ${closes} connections dropped, ${reasons.size} kinds of reasons`);
      expect(closes).toBeGreaterThan(CONNECTIONS);
      expect(mistakes(cluster)).toEqual([]);
      expect(viewOf(cluster, 'm1')?.number).toBe(number);
      for (const host of ['m1', 'm2', 'm3']) {
        expect(hostsOf(cluster, host)).toEqual(['m1', 'm2', 'm3']);
        expect(
          memberOf(cluster, host).member.node.membership.hasQuorum(memberOf(cluster, host).clock.now()),
        ).toBe(true);
        expect(await missing(cluster, host, 'kept', 50)).toEqual([]);
      }
    });
  },
);

describe('a client that talks to one member only', () => {
  it('cannot make it pass on anything but calls: a goodbye in its name ends the connection instead', async () => {
    const cluster = await clusterOf(2);
    const primary = viewOf(cluster, 'm1')?.table.findIndex(
      ({ replicas }) => replicas[0]?.member === memberOf(cluster, 'm2').member.id,
    );
    const closes: CloseReason[] = [];
    const transport = cluster.network.transport('evil', new SimClock(cluster.scheduler, 'evil'));
    const connection = transport.dial('m1:5701', {
      opened: () => {
        const id = '33333333-3333-4333-8333-333333333333';
        const versions = { versionMin: PROTOCOL_VERSION_MIN, versionMax: PROTOCOL_VERSION };
        const rest = { role: 'client', id, address: '', partitionCount: 0, singleMember: true };
        connection.send(encoded(hello, { clusterName: 'dev', ...versions, ...rest }));
        const address = { partition: primary ?? 0, view: 0, lineage: 0, client: 5, sequence: 5 };
        connection.send(encoded(clusterMessages.goodbye, {}, address));
      },
      frame: () => {},
      drained: () => {},
      closed: (reason) => void closes.push(reason),
    });
    await cluster.scheduler.runFor(5_000);
    expect(closes.map(({ reason }) => reason)).toEqual([`unknown message ${clusterMessages.goodbye.id}`]);
    for (const host of ['m1', 'm2']) expect(hostsOf(cluster, host)).toEqual(['m1', 'm2']);
  });
});
