/** The table and the strips: they fit into 100 columns, line up, and carry colours only when they are given any. */
import { describe, expect, it } from 'vitest';
import { explanation, refusals } from '../../demo/pacelc/explanation.js';
import { figuresOf } from '../../demo/pacelc/figures.js';
import { PRESETS } from '../../demo/pacelc/plan.js';
import { drawTable, duration, millis } from '../../demo/pacelc/table.js';
import { type Paint, Timeline } from '../../demo/pacelc/timeline.js';
import { outcomeOf, read, write } from './records.js';

const plain = (text: string) => text;
const PLAIN: Paint = { bold: plain, dim: plain, green: plain, yellow: plain, red: plain };
const tag = (name: string) => (text: string) => `<${name}>${text}</${name}>`;
const TAGGED: Paint = {
  bold: tag('bold'),
  dim: tag('dim'),
  green: tag('green'),
  yellow: tag('yellow'),
  red: tag('red'),
};

/** All the wide cells: thousands of calls, seconds of age, no bound. */
function wideFigures() {
  const many = Array.from({ length: 1_500 }, (_, i) => write(i, 2_000, 2_987, { key: `k${i}` }));
  const failed = (['refused', 'unknown'] as const).flatMap((outcome) =>
    Array.from({ length: 1_200 }, (_, i) =>
      write(i, 2_000, 2_900, { side: 'minority', outcome, error: 'PartitionUnavailableError' }),
    ),
  );
  const reads = many.map(({ key }) => read(null, 4_980, { key, side: 'minority' }));
  return figuresOf(outcomeOf([...many, ...failed], reads), 800);
}

describe('the table', () => {
  const lines = drawTable(wideFigures(), PLAIN);

  it('fits into 100 columns, and its columns line up', () => {
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(100);
    const ends = PRESETS.map((preset) => (lines[0] as string).indexOf(preset) + preset.length);
    const rows = lines.filter((line) => line.startsWith('  ') && line !== lines[0]);
    expect(rows.length).toBeGreaterThan(20);
    for (const row of rows)
      for (const end of ends) expect(row.slice(end - 1, end + 2), row).toMatch(/^\S( .*)?$/);
  });

  it('shows what was counted', () => {
    const row = (label: string, from: number) =>
      lines
        .slice(from)
        .find((line) => line.trim().startsWith(label))
        ?.trim()
        .split(/\s{2,}/);
    const minority = lines.findIndex((line) => line.includes('the side of 2'));
    expect(
      row(
        'writes acknowledged',
        lines.findIndex((line) => line.includes('the side of 3')),
      ),
    ).toEqual(['writes acknowledged', '1,500', '0', '0', '0']);
    expect(row('refused + unknown', minority)?.[1]).toBe('1,200 + 1,200');
    expect(row("stale, of the other side's", minority)?.[1]).toBe('1,500');
    expect(row('true age', minority)?.[1]).toBe('2.0 s · 2.0 s');
    expect(row('bound told', minority)?.[1]).toBe('none');
    expect(row('lost', minority)).toEqual(['lost', '0', '0', '0', '0']);
  });

  it('leaves out ages where no read was stale', () => {
    const quiet = drawTable(figuresOf(outcomeOf([]), 800), PLAIN).join('\n');
    expect(quiet).toContain('stale reads');
    expect(quiet).not.toContain('true age');
  });

  it('paints what is bad and what is good, and is the same text without', () => {
    const painted = drawTable(wideFigures(), TAGGED).join('\n');
    expect(painted).toMatch(/<yellow>\s+1,200 \+ 1,200<\/yellow>/);
    expect(painted).toMatch(/lost +<green>\s+0<\/green>/);
    expect(painted.replace(/<\/?[a-z]+>/g, '')).toBe(lines.join('\n'));
    const gone = outcomeOf([write(1, 2_000, 2_001)], [], { found: new Map() });
    expect(drawTable(figuresOf(gone, 800), TAGGED).join('\n')).toMatch(/lost +<red>\s+1<\/red>/);
  });

  it('is followed by at most ten lines that fit as well', () => {
    const below = explanation(wideFigures(), 100);
    expect(below.length).toBeLessThanOrEqual(10);
    const all = [...below, ...refusals(wideFigures())];
    expect(Math.max(...all.map((line) => line.length))).toBeLessThanOrEqual(100);
    expect(all.join('\n')).toContain('2400 PartitionUnavailableError');
  });
});

it.each([
  [0.012, '0.01'],
  [1.24, '1.2'],
  [9.96, '10'],
  [42.4, '42'],
  [99.7, '100'],
  [1_234, '1,234'],
])('writes %f ms as %s', (ms, text) => {
  expect(millis(ms)).toBe(text);
});

it('writes times short enough for two in a cell', () => {
  expect([0.16, 9.96, 64, 999.6, 6_940].map(duration)).toEqual([
    '0.2 ms',
    '10 ms',
    '64 ms',
    '1.0 s',
    '6.9 s',
  ]);
});

describe('the strips', () => {
  const timeline = new Timeline(0);
  for (let ms = 0; ms < 20_000; ms += 50) {
    for (const preset of PRESETS) {
      timeline.count(preset, 'majority', true, ms);
      timeline.count(preset, 'minority', preset.startsWith('PA') || ms < 6_000, ms);
    }
  }
  const marks = [
    { atMs: 6_000, text: 'cut' },
    { atMs: 16_000, text: 'heal' },
  ];
  const draw = (width: number, paint = PLAIN) =>
    timeline.draw(paint, { fromMs: 0, toMs: 20_000 }, marks, width);

  it('show who served, and from when on one side refused', () => {
    const [head, ...strips] = draw(100) as [string, ...string[]];
    expect(strips).toHaveLength(8);
    const cut = head.indexOf('│cut');
    expect(strips[0]).toMatch(/^ {2}PA\/EC {2}side of 3 {2}█+ {2}400 writes$/);
    const refused = strips[5] as string;
    expect(refused).toMatch(/^ {9}side of 2 {2}█+·+ {2}120 writes$/);
    expect(refused.indexOf('·')).toBe(cut);
  });

  it.each([60, 80, 100])('fit into %i columns', (width) => {
    expect(Math.max(...draw(width).map((line) => line.length))).toBeLessThanOrEqual(width);
  });

  it('are painted, and the same text without', () => {
    const painted = draw(100, TAGGED).join('\n');
    expect(painted).toContain('<red>·</red>');
    expect(painted.replace(/<\/?[a-z]+>/g, '')).toBe(draw(100).join('\n'));
  });

  it('tell what ended in the last second', () => {
    expect(timeline.lastSecond('PC/EC', 'minority', 5_000)).toEqual({ acknowledged: 20, failed: 0 });
    expect(timeline.lastSecond('PC/EC', 'minority', 9_000)).toEqual({ acknowledged: 0, failed: 20 });
  });
});
