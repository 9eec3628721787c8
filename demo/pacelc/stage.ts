/**
 * Where the PACELC demonstration takes place: five members as processes, with a proxy in front of each, and a client on
 * each side, so that the network between the sides can really come apart. Invariant: everything that it started ends
 * with it.
 */
import { type Client, connect, type GridStatus } from '../../src/index.js';
import { LinkProxies } from '../link-proxies.js';
import { MemberProcesses } from '../member-processes.js';
import {
  MEMBERS,
  MEMBERS_OF,
  mapOf,
  NEAR_STALENESS_MS,
  PRESETS,
  SIDES,
  type Side,
  TIMEOUT_MS,
  TIMINGS,
} from './plan.js';

/** Few, so that the start is quick; keys spread well enough. */
const PARTITIONS = 59;
const CONNECT_TIMEOUT_MS = 20_000;
const SAFE_TIMEOUT_MS = 60_000;
const CLUSTER = 'pacelc';

export class Stage implements AsyncDisposable {
  readonly #proxies = new LinkProxies();
  readonly #processes: MemberProcesses;
  readonly #clients: Client[] = [];
  readonly #distanceMs: number;
  #ended: Promise<void> | null = null;

  /** `script` is `member-process.js`, compiled. `distanceMs`: how long bytes take from one side to the other. */
  constructor(script: URL, distanceMs: number) {
    this.#distanceMs = distanceMs;
    const maps = PRESETS.map((preset) => [mapOf(preset), { consistency: preset, backups: { sync: 1 } }]);
    this.#processes = new MemberProcesses(script, {
      clusterName: CLUSTER,
      partitionCount: PARTITIONS,
      timings: TIMINGS,
      logLevel: 'silent',
      maps: Object.fromEntries(maps) as Record<string, object>,
    });
  }

  /** Of the members that run. */
  get pids(): number[] {
    return this.#processes.members.map(({ pid }) => pid);
  }

  /** Starts all members; the first one founds the cluster by order, because two of the maps are PC. */
  async start(): Promise<void> {
    const places = [];
    for (const member of MEMBERS) places.push(await this.#proxies.add(member));
    this.#apart(this.#distanceMs);
    const join = places.map(({ advertisedAddress }) => advertisedAddress);
    const [first, ...others] = places.map((place, i) => ({ ...place, join, founds: i === 0 }));
    await this.#processes.add(first);
    await Promise.all(others.map((options) => this.#processes.add(options)));
  }

  /** A client of one side, or, with null, one that reaches all members at any time. */
  async connect(side: Side | null): Promise<Client> {
    this.#proxies.nameClients(side ?? 'observer');
    const client = await connect({
      clusterName: CLUSTER,
      members: this.#processes.members.map(({ address }) => address),
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      timeoutMs: TIMEOUT_MS,
      logLevel: 'silent',
      nearCaches:
        side === null ? {} : { [mapOf('PA/EL')]: { maxStalenessMs: NEAR_STALENESS_MS, maxEntries: 1_000 } },
    });
    this.#clients.push(client);
    if (side === null) await client.waitUntilSafe({ timeoutMs: SAFE_TIMEOUT_MS });
    return client;
  }

  /** Resets every connection between the sides, and every one that is tried from now on. */
  split(): void {
    this.#apart('cut');
  }

  heal(): void {
    this.#apart(this.#distanceMs);
  }

  #apart(state: 'cut' | number): void {
    const [left, right] = SIDES.map((side) => [...MEMBERS_OF[side], side]) as [string[], string[]];
    this.#proxies.between(left, right, state);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#ended ??= this.#end();
    return this.#ended;
  }

  async #end(): Promise<void> {
    for (const client of this.#clients) await client.shutdown();
    await this.#processes.stop();
    await this.#proxies[Symbol.asyncDispose]();
  }
}

/** What keeps `count` members from being one lineage with nothing to merge and all replicas synced; null for nothing. */
export function whyNotWhole(
  { members, lineage, parent, safe, unsafeReasons }: GridStatus,
  count: number,
): string | null {
  if (parent !== null) return 'the client sees a fork';
  if (members.length < count) return `${members.length} members are in the view`;
  const elsewhere = members.filter((member) => member.lineage !== lineage);
  if (elsewhere.length > 0) return `${elsewhere.map(({ address }) => address).join(', ')} in another lineage`;
  const leftovers = members.reduce((sum, member) => sum + (member.leftovers ?? 1), 0);
  if (leftovers > 0) return `${leftovers} replicas are to be merged`;
  return safe ? null : unsafeReasons.join('; ');
}
