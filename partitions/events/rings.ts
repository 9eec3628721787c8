/**
 * The rings of one replica, by structure: none while nobody listens. They belong to the contents of the replica, so they
 * end with them. Called by the replica and by `listeners/interests.ts`.
 */
import type { EventRing } from './ring.js';

export class ReplicaRings {
  readonly #rings = new Map<number, Map<string, EventRing>>();

  find(serviceId: number, structure: string): EventRing | null {
    return this.#rings.get(serviceId)?.get(structure) ?? null;
  }

  set(serviceId: number, structure: string, ring: EventRing): void {
    const byName = this.#rings.get(serviceId);
    if (byName === undefined) this.#rings.set(serviceId, new Map([[structure, ring]]));
    else byName.set(structure, ring);
  }

  delete(serviceId: number, structure: string): void {
    const byName = this.#rings.get(serviceId);
    byName?.get(structure)?.close();
    byName?.delete(structure);
    if (byName?.size === 0) this.#rings.delete(serviceId);
  }

  *names(): Generator<readonly [serviceId: number, structure: string]> {
    for (const [serviceId, byName] of this.#rings)
      for (const structure of byName.keys()) yield [serviceId, structure];
  }

  clear(): void {
    for (const byName of this.#rings.values()) for (const ring of byName.values()) ring.close();
    this.#rings.clear();
  }
}
