/**
 * The class that options really give: what writes wait for and where reads go, for calls that ask for nothing and for those
 * that loosen or tighten their E side. All of `explain` follows from this one function; a test holds it against what the
 * executor does. Pure.
 */
import {
  DEFAULT_PRESET,
  type ElsePolicy,
  type PartitionPolicy,
  PRESETS,
  type PresetName,
} from './presets.js';

/** The E side that a call may ask for with `with({ consistency })`. */
export type CallConsistency = 'EC' | 'EL';

export interface ClassOptions {
  readonly consistency: PresetName;
  readonly backups: { readonly sync: number };
}

export interface GivenClass {
  /** The weakest preset that promises no more than this: `PA/EL` for PA/EC without sync backups. */
  readonly name: PresetName;
  readonly p: PartitionPolicy;
  /** `latency`: writes are answered before any backup has them. */
  readonly writes: ElsePolicy;
  /** `latency`: reads go to the nearest replica, and may be behind. */
  readonly reads: ElsePolicy;
  /** The option that makes writes be answered at once; null when they wait. */
  readonly writeKnob: 'consistency' | 'backups.sync' | null;
}

/** `call`: what the call asks for; null for one that asks for nothing. */
export function classOf(options: ClassOptions, call: CallConsistency | null = null): GivenClass {
  const { p, e } = presetOrDefault(options.consistency);
  const asked: ElsePolicy = call === null ? e : call === 'EL' ? 'latency' : 'consistent';
  const writeKnob = knobOfWrites(p, asked, options.backups.sync);
  const isLoose = asked === 'latency' || writeKnob !== null;
  const weakest = PRESETS.find(
    (preset) => preset.p === p && preset.e === (isLoose ? 'latency' : 'consistent'),
  );
  return {
    name: weakest?.name ?? DEFAULT_PRESET,
    p,
    writes: writeKnob === null ? 'consistent' : 'latency',
    reads: asked,
    writeKnob,
  };
}

/** Under P `consistent`, E governs reads only. */
function knobOfWrites(p: PartitionPolicy, asked: ElsePolicy, syncBackups: number): GivenClass['writeKnob'] {
  if (p === 'consistent') return null;
  if (asked === 'latency') return 'consistency';
  return syncBackups === 0 ? 'backups.sync' : null;
}

function presetOrDefault(name: string) {
  return PRESETS.find((preset) => preset.name === name) ?? PRESETS.find((p) => p.name === DEFAULT_PRESET)!;
}
