/**
 * The four presets as data: a preset is a P policy and an E policy, and nothing else differs between them.
 * Configuration takes their names; `explain` says what each half comes to.
 */

/** What a part of the cluster does that cannot prove it is the majority. */
export type PartitionPolicy = 'available' | 'consistent';

/** What a call waits for and where it reads while nothing is cut off. */
export type ElsePolicy = 'consistent' | 'latency';

export interface Preset {
  readonly name: string;
  readonly p: PartitionPolicy;
  readonly e: ElsePolicy;
  readonly doc: string;
}

export const PRESETS = [
  {
    name: 'PA/EC',
    p: 'available',
    e: 'consistent',
    doc: 'every side of a split goes on; writes wait for the sync backups, reads go to the primary',
  },
  {
    name: 'PA/EL',
    p: 'available',
    e: 'latency',
    doc: 'every side of a split goes on; writes answer after the primary alone, reads from any replica',
  },
  {
    name: 'PC/EC',
    p: 'consistent',
    e: 'consistent',
    doc: 'only the side that can prove it is the majority serves; linearizable always',
  },
  {
    name: 'PC/EL',
    p: 'consistent',
    e: 'latency',
    doc: 'writes as PC/EC; reads from any replica, also on a side that was cut off, with a known age',
  },
] as const satisfies readonly Preset[];

export type PresetName = (typeof PRESETS)[number]['name'];

export const PRESET_NAMES = ['PA/EC', 'PA/EL', 'PC/EC', 'PC/EL'] as const satisfies readonly PresetName[];

/** The preset of grids and structures that name none. */
export const DEFAULT_PRESET = 'PA/EC' satisfies PresetName;

/** The preset of that name, or undefined. */
export function presetOf(name: string): Preset | undefined {
  return PRESETS.find((preset) => preset.name === name);
}
