/**
 * Faults of links in layers: several may lie on one link at a time, and each can be taken off alone. Used by the
 * nemesis. Invariant: with all layers taken off, a link is as it was at the start.
 */
import { DEFAULT_LINK, type LinkOptions } from '../sim/link.js';
import type { SimNetwork } from '../sim/network.js';

export interface Layer {
  readonly kind: 'hold' | 'cut' | 'delay' | 'loss' | 'reorder' | 'duplicate';
  readonly amount: number;
}

type Pair = readonly [from: string, to: string];

export class LinkLayers {
  readonly #network: SimNetwork;
  readonly #base: LinkOptions;
  readonly #layers = new Map<string, Layer[]>();

  constructor(network: SimNetwork, base: Partial<LinkOptions>) {
    this.#network = network;
    this.#base = { ...DEFAULT_LINK, ...base };
  }

  put(pairs: readonly Pair[], layer: Layer): void {
    for (const pair of pairs) {
      const layers = this.#of(pair);
      layers.push(layer);
      if (layer.kind === 'hold') this.#network.hold(pair[0], pair[1]);
      else if (layer.kind === 'cut') this.#network.cut(pair[0], pair[1]);
      else this.#set(pair, layers);
    }
  }

  take(pairs: readonly Pair[], layer: Layer): void {
    for (const pair of pairs) {
      const layers = this.#of(pair);
      const at = layers.indexOf(layer);
      if (at < 0) continue;
      layers.splice(at, 1);
      if (layer.kind !== 'hold' && layer.kind !== 'cut') this.#set(pair, layers);
      else if (layers.some(({ kind }) => kind === layer.kind)) continue;
      else if (layer.kind === 'hold') this.#network.release(pair[0], pair[1]);
      else this.#network.heal(pair[0], pair[1]);
    }
  }

  #of([from, to]: Pair): Layer[] {
    const name = `${from}>${to}`;
    let layers = this.#layers.get(name);
    if (layers === undefined) {
      layers = [];
      this.#layers.set(name, layers);
    }
    return layers;
  }

  #set([from, to]: Pair, layers: readonly Layer[]): void {
    const base = this.#base;
    const amounts = (kind: Layer['kind']) =>
      layers.filter((layer) => layer.kind === kind).map((l) => l.amount);
    this.#network.setLink(from, to, {
      extraDelayMs: base.extraDelayMs + amounts('delay').reduce((sum, ms) => sum + ms, 0),
      loss: Math.max(base.loss, ...amounts('loss')),
      reorder: Math.max(base.reorder, ...amounts('reorder')),
      duplicate: Math.max(base.duplicate, ...amounts('duplicate')),
    });
  }
}
