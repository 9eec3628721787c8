/**
 * Whom a fault meets: turns the scope of a fault into hosts and links of the cluster as it is at that moment.
 * Called by the nemesis. Invariant: the same cluster and scope give the same answer, nothing is drawn here.
 */
import { isQuorum, type View } from '../../src/cluster/view.js';
import type { SimCluster, SimMember } from '../sim/cluster.js';

/** The newest view that a running member is in; one of the chain before those of forks. */
export function newestView(cluster: SimCluster): View | null {
  let newest: View | null = null;
  for (const { member } of cluster.running()) {
    const { view } = member.node;
    if (view !== null && (newest === null || isNewer(view, newest))) newest = view;
  }
  return newest;
}

function isNewer(view: View, than: View): boolean {
  const isChain = view.parent === null;
  return isChain === (than.parent === null) ? view.number > than.number : isChain;
}

/** Running processes that are in the newest view, oldest first. */
function inView(cluster: SimCluster): SimMember[] {
  const view = newestView(cluster);
  const running = cluster.running();
  return (view?.members ?? []).flatMap(({ id }) => running.filter(({ member }) => member.id === id));
}

/** The hosts that a scope of processes names, without repetition. */
export function hostsOf(cluster: SimCluster, scope: string): string[] {
  const found = scope.split('+').map((part) => oneOf(cluster, part));
  return [...new Set(found.filter((host) => host !== undefined))];
}

function oneOf(cluster: SimCluster, scope: string): string | undefined {
  const members = inView(cluster);
  const [kind, text] = scope.split(':');
  const number = Number(text ?? 0);
  switch (kind) {
    case 'oldest':
      return members[0]?.host;
    case 'youngest':
      return members.at(-1)?.host;
    case 'any':
      return members[number % Math.max(1, members.length)]?.host;
    case 'primary':
    case 'backup': {
      const table = newestView(cluster)?.table ?? [];
      const entry = table[number % Math.max(1, table.length)];
      const id = entry?.replicas[kind === 'primary' ? 0 : 1]?.member;
      return members.find(({ member }) => member.id === id)?.host;
    }
    case 'leftover': {
      const merging = cluster.running().filter(({ member }) => member.node.replication.leftovers.size > 0);
      return wrapped(
        merging.map(({ host }) => host),
        text ?? '0',
      );
    }
    case 'host':
      return text;
    default:
      throw new Error(`a fault cannot meet ${scope}`);
  }
}

/** The hosts of each group; a name without a colon is that of a host. */
function groupsOf(cluster: SimCluster, texts: readonly string[]): string[][] {
  const named = texts.map((text) => [
    ...new Set(
      text.split('+').flatMap((part) => {
        const host =
          part.includes(':') || part === 'oldest' || part === 'youngest' ? oneOf(cluster, part) : part;
        return host === undefined ? [] : [host];
      }),
    ),
  ]);
  const taken = new Set(named.flat());
  const rest = [...cluster.members.keys()].filter((host) => !taken.has(host));
  // Two groups may name the same process, by its role: it belongs to the first.
  const seen = new Set<string>();
  return named.map((group) => {
    const hosts = group
      .flatMap((host) => (host === 'rest' ? rest : [host]))
      .filter((host) => !seen.has(host));
    for (const host of hosts) seen.add(host);
    return hosts;
  });
}

function sidePairs(cluster: SimCluster, text: string): (readonly [string, string])[] {
  const groups = groupsOf(cluster, text.split('|'));
  return groups.flatMap((group, at) =>
    groups.flatMap((other, index) =>
      index === at ? [] : group.flatMap((from) => other.map((to) => [from, to] as const)),
    ),
  );
}

function oneWayPairs(cluster: SimCluster, text: string): (readonly [string, string])[] {
  const [from = [], to = []] = groupsOf(cluster, text.split('>'));
  return from.flatMap((a) => to.map((b) => [a, b] as const));
}

/** The ordered pairs of hosts that a scope of links names. */
export function linksOf(cluster: SimCluster, scope: string): (readonly [string, string])[] {
  const hosts = cluster.running().map(({ host }) => host);
  const [kind, first = '', second = ''] = scope.split(':');
  const others = (host: string) => hosts.filter((other) => other !== host);
  const process = () => oneOf(cluster, scope.slice(scope.indexOf(':') + 1)) ?? '';
  switch (kind) {
    case 'sides':
      return sidePairs(cluster, scope.slice('sides:'.length));
    case 'oneway':
      return oneWayPairs(cluster, scope.slice('oneway:'.length));
    case 'pair':
      return [[first, second]];
    case 'link': {
      const from = wrapped(hosts, first);
      const to = from === undefined ? undefined : wrapped(others(from), second);
      return from === undefined || to === undefined ? [] : [[from, to]];
    }
    case 'into':
      return others(process()).map((from) => [from, process()] as const);
    case 'outof':
      return others(process()).map((to) => [process(), to] as const);
    case 'around':
      return others(process()).flatMap((other) => bothWays(process(), other));
    case 'all':
      return hosts.flatMap((from) => others(from).map((to) => [from, to] as const));
    case 'client': {
      const client = wrapped(cluster.clientHosts, first);
      return client === undefined ? [] : hosts.flatMap((host) => bothWays(client, host));
    }
    default:
      throw new Error(`a fault cannot meet ${scope}`);
  }
}

function wrapped(hosts: readonly string[], number: string): string | undefined {
  return hosts[Number(number) % Math.max(1, hosts.length)];
}

function bothWays(a: string, b: string): (readonly [string, string])[] {
  return [
    [a, b],
    [b, a],
  ];
}

/**
 * Whether each partition keeps a synced replica when these hosts end. Members that leave take backups with them before a
 * cluster is safe again: a partition with one backup left survives one crash, whatever its options say.
 */
export function holdersSurvive(cluster: SimCluster, ending: readonly string[]): boolean {
  const staying = new Set(
    cluster
      .running()
      .filter(({ host }) => !ending.includes(host))
      .map(({ member }) => member.id),
  );
  return (newestView(cluster)?.table ?? []).every(
    ({ replicas }) =>
      replicas.length === 0 || replicas.some(({ member, synced }) => synced && staying.has(member)),
  );
}

/**
 * Whether a quorum remains when these hosts end: in the newest view, and in that view without those that are
 * about to leave it.
 */
export function quorumSurvives(cluster: SimCluster, ending: readonly string[]): boolean {
  const view = newestView(cluster);
  if (view === null) return false;
  const staying = new Set(
    cluster
      .running()
      .filter(({ host, isLeaving }) => !ending.includes(host) && !isLeaving)
      .map(({ member }) => member.id),
  );
  const leaving = new Set(
    cluster
      .running()
      .filter(({ isLeaving }) => isLeaving)
      .map(({ member }) => member.id),
  );
  const rest = view.members.filter(({ id }) => !leaving.has(id));
  return isQuorum(view.members, (id) => staying.has(id)) && isQuorum(rest, (id) => staying.has(id));
}
