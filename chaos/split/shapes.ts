/**
 * The shapes in which a network falls apart, as faults: halves, three parts, majority ring, bridge, one-way cuts, a
 * member that speaks and does not hear, isolated primaries. Called by `draw.ts`. Two clients are placed on sides; a
 * third one reaches everyone all the time.
 */
import type { SeededRandom } from '../../src/base/random.js';
import type { Fault } from '../nemesis/fault.js';

/** Clients that a cut takes along; the others keep all their links. */
export const SIDE_CLIENTS = ['c1', 'c2'] as const;

/** Shapes in which some links carry only one direction. */
export const ONE_WAY_SHAPES = ['one link', 'deaf', 'mute', 'one-way halves'] as const;
export const TWO_WAY_SHAPES = [
  'minority',
  'halves',
  'three parts',
  'ring',
  'bridge',
  'primary',
  'primaries',
] as const;
export type Shape = (typeof ONE_WAY_SHAPES)[number] | (typeof TWO_WAY_SHAPES)[number];

export interface ShapeInput {
  readonly random: SeededRandom;
  readonly members: number;
  readonly partitionCount: number;
  readonly atMs: number;
  readonly durationMs: number;
}

export function shapeFaults(shape: Shape, input: ShapeInput): Fault[] {
  const { atMs, durationMs } = input;
  return scopesOf(shape, input).map((scope) => ({ atMs, kind: 'cut', scope, durationMs }));
}

function scopesOf(shape: Shape, { random, members, partitionCount }: ShapeInput): string[] {
  const hosts = shuffled(random, members);
  const [first, second] = random.float() < 0.5 ? ['c1', 'c2'] : ['c2', 'c1'];
  const half = Math.floor(members / 2);
  const group = (...parts: readonly (string | readonly string[])[]) => parts.flat().join('+');
  const partition = random.below(partitionCount);
  switch (shape) {
    case 'minority':
      return [`sides:${group(hosts[0]!, first)}|${group(hosts.slice(1), second)}`];
    case 'halves':
      return [`sides:${group(hosts.slice(0, half), first)}|${group(hosts.slice(half), second)}`];
    case 'three parts': {
      const [a, b] = [hosts.slice(0, half), hosts.slice(half, 2 * half)];
      return [`sides:${group(a, first)}|${group(b, second)}|${group(hosts.slice(2 * half))}`];
    }
    case 'ring':
      return ringScopes(hosts);
    case 'bridge': {
      const bridge = hosts.length - 1;
      const middle = Math.floor(bridge / 2);
      return [`sides:${group(hosts.slice(0, middle), first)}|${group(hosts.slice(middle, bridge), second)}`];
    }
    case 'one link':
      return [`oneway:${hosts[0]}>${hosts[1]}`];
    case 'deaf':
      return [`oneway:rest>${hosts[0]}`];
    case 'mute':
      return [`oneway:${hosts[0]}>rest`];
    case 'one-way halves':
      return [`oneway:${group(hosts.slice(0, half))}>${group(hosts.slice(half))}`];
    case 'primary':
      return [`sides:primary:${partition}+${first}|rest+${second}`];
    case 'primaries':
      return [`sides:primary:${partition}+primary:${partition + 1}+${first}|rest+${second}`];
  }
}

/** Each member hears a majority, and no two the same one: in a circle, those far from each other are cut. */
function ringScopes(hosts: readonly string[]): string[] {
  const reach = Math.floor(hosts.length / 4) || 1;
  const scopes: string[] = [];
  hosts.forEach((host, at) => {
    for (let other = at + 1; other < hosts.length; other++) {
      const apart = Math.min(other - at, hosts.length - (other - at));
      if (apart > reach) scopes.push(`sides:${host}|${hosts[other]}`);
    }
  });
  return scopes;
}

function shuffled(random: SeededRandom, members: number): string[] {
  const hosts = Array.from({ length: members }, (_, i) => `m${i + 1}`);
  for (let i = hosts.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [hosts[i], hosts[j]] = [hosts[j]!, hosts[i]!];
  }
  return hosts;
}
