/** Actors as structures compare, name and write them that keep apart what each primary has done. */
import type { Reader, Writer } from '../../src/base/bytes.js';
import type { Actor } from '../service.js';

/** What `writeActor` writes: four words. */
export const ACTOR_BYTES = 4 * 4;

export function isSameActor(a: Actor, b: Actor): boolean {
  return (
    a.epoch === b.epoch && a.lineage === b.lineage && a.memberHi === b.memberHi && a.memberLo === b.memberLo
  );
}

/** The same text for the same actor, and for no other one. */
export function nameOfActor({ memberHi, memberLo, lineage, epoch }: Actor): string {
  return [memberHi, memberLo, lineage, epoch].map((word) => word.toString(16)).join('.');
}

export function writeActor(out: Writer, actor: Actor): void {
  out.u32(actor.memberHi);
  out.u32(actor.memberLo);
  out.u32(actor.lineage);
  out.u32(actor.epoch);
}

export function readActor(input: Reader): Actor {
  // Fields are read in the order in which they stand here.
  return { memberHi: input.u32(), memberLo: input.u32(), lineage: input.u32(), epoch: input.u32() };
}
