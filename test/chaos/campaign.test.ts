import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { chaosRun } from '../../chaos/campaign.js';
import { parseHistory } from '../../chaos/checker/history.js';

const folder = mkdtempSync(join(tmpdir(), 'elsegrid-campaign-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const SHORT = { workloads: ['map-register'], nemeses: ['partition'], seed: 3, seeds: 2, timeMs: 3000 };

describe('a campaign', () => {
  it('says what held, reports progress, and writes the history', async () => {
    const historyFile = join(folder, 'history.jsonl');
    const progress: number[] = [];
    const summary = await chaosRun({
      ...SHORT,
      preset: 'PC/EC',
      historyFile,
      onProgress: ({ done }) => progress.push(done),
    });
    expect(summary.failing.map(({ text }) => text).join('\n')).toBe('');
    expect(summary.verdict).not.toBe('violated');
    expect(progress).toEqual([1, 2]);
    expect(summary.guarantees.find(({ id }) => id === 'G3')?.checked).toBeGreaterThan(0);
    const operations = parseHistory(readFileSync(historyFile, 'utf8'));
    expect(operations).toHaveLength(summary.operations);
    expect(new Set(operations.map(({ k }) => k.split('/')[0]))).toEqual(new Set(['3', '4']));
  }, 60_000);

  it('is unknown, not held, when a guarantee had nothing to be held against', async () => {
    const summary = await chaosRun({ ...SHORT, preset: 'PA/EC', workloads: ['map-register'], seeds: 1 });
    expect(summary.guarantees.map(({ id }) => id)).toEqual(['G5', 'G6', 'G9', 'views', 'other']);
    expect(summary.missing.filter((state) => /crash|pause|set|counter/.test(state))).toEqual([]);
    const empty = summary.guarantees.filter(({ checked }) => checked === 0);
    expect(summary.verdict).toBe(
      summary.failing.length > 0 ? 'violated' : empty.length > 0 ? 'unknown' : 'held',
    );
  }, 60_000);

  it.each([
    ['preset', { preset: 'PA/EL' }],
    ['workloads', { workloads: ['queue'] }],
    ['nemeses', { nemeses: ['fire'] }],
    ['members', { members: 1 }],
    ['seeds', { seeds: -1 }],
    ['the history file', { historyFile: join(folder, 'nowhere', 'history.jsonl') }],
  ])('refuses a wrong value of %s', async (_name, wrong) => {
    await expect(chaosRun({ ...SHORT, preset: 'PC/EC', ...wrong })).rejects.toThrow(RangeError);
  });
});
