/**
 * A world of network namespaces: each member and client has a network stack of its own, and a cable to a switch. A
 * split moves the cables of one side to another switch, so packets between the sides vanish and no socket is told.
 * Needs root and `ip` (Debian package iproute2). All names carry the id of this process; all are removed in the end.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import type { Place } from '../../demo/link-proxies.js';
import type { World } from './split-world.js';

const PORT = 5701;
/** Addresses of the world; .254 is this process, on the switch of the majority. */
const NET = `10.77.${process.pid % 250}`;
/** Network stacks that the world has room for. */
const MOST = 20;

interface Stack {
  readonly name: string;
  readonly namespace: string;
  /** End of its cable at the switch. */
  readonly cable: string;
  readonly address: string;
}

export class NetnsWorld implements World {
  readonly #stacks = new Map<string, Stack>();
  readonly #switches = [`eg${process.pid}a`, `eg${process.pid}b`] as const;
  #moved: readonly Stack[] = [];

  static async create(): Promise<NetnsWorld> {
    const world = new NetnsWorld();
    const [main, other] = world.#switches;
    await ip(
      `link add ${main} type bridge`,
      `link add ${other} type bridge`,
      `addr add ${NET}.254/24 dev ${main}`,
      `link set ${main} up`,
      `link set ${other} up`,
    );
    return world;
  }

  async place(member: string): Promise<Place> {
    const { address } = await this.#add(member);
    return { host: address, port: PORT, advertisedAddress: `${address}:${PORT}` };
  }

  async #add(name: string): Promise<Stack> {
    const number = this.#stacks.size + 1;
    if (number > MOST) throw new Error(`this world has room for ${MOST} stacks`);
    const [namespace, cable] = [`eg${process.pid}-${number}`, `eg${process.pid}c${number}`];
    const stack = { name, namespace, cable, address: `${NET}.${number}` };
    this.#stacks.set(name, stack);
    await ip(
      `netns add ${namespace}`,
      `link add ${cable} type veth peer name eth0 address ${macOf(number)} netns ${namespace}`,
      `link set ${cable} master ${this.#switches[0]} up`,
    );
    await ip(
      ...['link set lo up', `addr add ${stack.address}/24 dev eth0`, 'link set eth0 up'].map(
        inside(namespace),
      ),
    );
    // With fixed neighbours nobody finds out by a missing answer to ARP that the other side is gone.
    const neighbours = Array.from({ length: MOST }, (_, i) => i + 1).filter((other) => other !== number);
    const fixed = (other: number) =>
      `neigh add ${NET}.${other} lladdr ${macOf(other)} nud permanent dev eth0`;
    await ip(...neighbours.map(fixed).map(inside(namespace)));
    return stack;
  }

  async spawn(name: string, script: URL): Promise<ChildProcess> {
    const { namespace } = this.#stacks.get(name) ?? (await this.#add(name));
    const args = ['netns', 'exec', namespace, process.execPath, fileURLToPath(script)];
    return spawn('ip', args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  }

  async split(minority: readonly string[]): Promise<void> {
    this.#moved = minority.map((name) => this.#stacks.get(name) as Stack);
    await ip(...this.#moved.map(({ cable }) => `link set ${cable} master ${this.#switches[1]}`));
  }

  async heal(): Promise<void> {
    await ip(...this.#moved.map(({ cable }) => `link set ${cable} master ${this.#switches[0]}`));
  }

  /** To be called when all processes have ended: a namespace lives as long as one of them. */
  async [Symbol.asyncDispose](): Promise<void> {
    await ip(
      ...[...this.#stacks.values()].map(({ namespace }) => `netns del ${namespace}`),
      ...this.#switches.map((name) => `link del ${name}`),
    );
  }
}

function macOf(number: number): string {
  return `02:00:00:00:00:${number.toString(16).padStart(2, '0')}`;
}

function inside(namespace: string): (command: string) => string {
  return (command) => `-n ${namespace} ${command}`;
}

/** Runs commands of `ip`, one after the other. */
async function ip(...commands: readonly string[]): Promise<void> {
  for (const command of commands) {
    await new Promise<void>((resolve, reject) => {
      execFile('ip', command.split(' '), (error, _out, err) => {
        if (error === null) resolve();
        else reject(new Error(`ip ${command}: ${err.trim() || error.message}`));
      });
    });
  }
}
