/**
 * Who could talk to whom, and when: the cuts of a run as stretches of time in which nothing changed. Built from the
 * nemesis' log after a run, read by the checks. Two hosts are joined when both directions between them are open.
 */
import type { Cut } from '../nemesis/nemesis.js';

export interface Stretch {
  readonly fromMs: number;
  /** Where the next one begins. */
  readonly toMs: number;
  /** `a>b` for each direction that was cut. */
  readonly cut: ReadonlySet<string>;
}

export class Connectivity {
  readonly stretches: readonly Stretch[];
  readonly #hosts: readonly string[];

  /** `hosts`: members and clients; `endMs`: of the run. */
  constructor(cuts: readonly Cut[], hosts: readonly string[], endMs: number) {
    this.#hosts = hosts;
    const times = new Set([0, endMs]);
    for (const { fromMs, toMs } of cuts) for (const time of [fromMs, toMs ?? endMs]) times.add(time);
    const sorted = [...times].sort((a, b) => a - b);
    this.stretches = sorted.slice(0, -1).map((fromMs, index) => {
      const active = cuts.filter((cut) => cut.fromMs <= fromMs && (cut.toMs ?? endMs) > fromMs);
      const cut = new Set(active.flatMap(({ pairs }) => pairs.map(([from, to]) => `${from}>${to}`)));
      return { fromMs, toMs: sorted[index + 1] as number, cut };
    });
  }

  areJoined(stretch: Stretch, a: string, b: string): boolean {
    return !stretch.cut.has(`${a}>${b}`) && !stretch.cut.has(`${b}>${a}`);
  }

  /** Everyone that a host reaches there and back, also through members in between. Clients pass nothing on. */
  around(stretch: Stretch, host: string): Set<string> {
    return this.#spread(host, (from, to) => this.areJoined(stretch, from, to));
  }

  /** Everyone whose answers come to a host, also through members in between. */
  heardBy(stretch: Stretch, host: string): Set<string> {
    return this.#spread(host, (from, to) => !stretch.cut.has(`${to}>${from}`));
  }

  #spread(host: string, isOpen: (from: string, to: string) => boolean): Set<string> {
    const found = new Set([host]);
    const open = [host];
    for (let from = open.pop(); from !== undefined; from = open.pop()) {
      if (from !== host && isClient(from)) continue;
      for (const to of this.#hosts) {
        if (found.has(to) || !isOpen(from, to)) continue;
        found.add(to);
        open.push(to);
      }
    }
    return found;
  }

  /** As `around`, for all stretches that touch the time. */
  aroundDuring(host: string, fromMs: number, toMs: number): Set<string> {
    const all = new Set<string>();
    for (const stretch of this.stretches) {
      if (stretch.fromMs > toMs || stretch.toMs < fromMs) continue;
      for (const other of this.around(stretch, host)) all.add(other);
    }
    return all;
  }

  /** Where something that members had at a time may have been carried by a later one, as sides met and parted. */
  carriedTo(members: Iterable<string>, fromMs: number, toMs: number): Set<string> {
    const reached = new Set(members);
    for (const stretch of this.stretches) {
      if (stretch.fromMs > toMs || stretch.toMs < fromMs) continue;
      for (const member of [...reached])
        for (const other of this.around(stretch, member)) if (!isClient(other)) reached.add(other);
    }
    return reached;
  }

  /** The members around a host when they are all joined with each other and with nobody else, or null. */
  cleanSide(stretch: Stretch, host: string): string[] | null {
    const side = [...this.around(stretch, host)].filter((other) => other === host || !isClient(other));
    const isWhole = side.every((a) => side.every((b) => a === b || this.areJoined(stretch, a, b)));
    const others = this.#hosts.filter((other) => !side.includes(other) && !isClient(other));
    const isAlone = side.every((a) =>
      others.every((b) => stretch.cut.has(`${a}>${b}`) && stretch.cut.has(`${b}>${a}`)),
    );
    return isWhole && isAlone ? side.filter((other) => !isClient(other)) : null;
  }
}

export function isClient(host: string): boolean {
  return host.startsWith('c');
}
