/**
 * What is on the screen while the run goes on: on a terminal the strips of the timeline, drawn again in place; in a log a
 * line a second. Shows nothing when it is not started.
 */
import process from 'node:process';
import { dim, say } from '../screen.js';
import { type Phase, PRESETS, SIDES } from './plan.js';
import type { WriteRecord } from './records.js';
import type { Audience } from './run.js';
import { seconds } from './table.js';
import { type Mark, type Paint, Timeline } from './timeline.js';

const REDRAW_MS = 250;
const LOG_MS = 1_000;
const MAX_WIDTH = 100;

const TITLES: Readonly<Record<Phase | 'preparing', string>> = {
  preparing: 'five members start, each a process of its own',
  together: 'together: five members, a client on each side',
  split: 'SPLIT: every connection between the sides is cut',
  healing: 'healed: the sides find each other and merge',
  whole: 'merged: one cluster again',
};
const MARKS: Readonly<Partial<Record<Phase | 'preparing', string>>> = {
  split: 'cut',
  healing: 'heal',
  whole: 'merged',
};

export class Live implements Audience, Disposable {
  readonly #paint: Paint;
  readonly #isTerminal = process.stdout.isTTY === true;
  readonly #timeline = new Timeline(performance.now());
  readonly #marks: Mark[] = [];
  #phase: Phase | 'preparing' = 'preparing';
  #sinceMs = performance.now();
  #lengthMs: number | null = null;
  #firstMs: number | null = null;
  #drawn = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(paint: Paint) {
    this.#paint = paint;
  }

  start(): void {
    say(this.#paint.bold('The same writes and reads under the four presets, while the network comes apart'));
    if (this.#isTerminal) process.stdout.write('\u001b[?25l');
    this.#timer = setInterval(() => this.#show(), this.#isTerminal ? REDRAW_MS : LOG_MS);
  }

  started(pids: readonly number[]): void {
    if (this.#timer !== null && !this.#isTerminal) say(`members  pid ${pids.join(', ')}`);
  }

  phase(phase: Phase | 'preparing', atMs: number, lengthMs: number | null): void {
    this.#phase = phase;
    this.#sinceMs = atMs;
    this.#lengthMs = lengthMs;
    if (phase === 'together') this.#firstMs = atMs;
    const text = MARKS[phase];
    if (text !== undefined) this.#marks.push({ atMs, text });
    if (this.#timer !== null && !this.#isTerminal) say(TITLES[phase]);
  }

  wrote({ preset, side, outcome, endMs }: WriteRecord): void {
    this.#timeline.count(preset, side, outcome === 'acknowledged', endMs);
  }

  /** The strips of the whole run. */
  picture(toMs: number): string[] {
    const width = Math.min(MAX_WIDTH, process.stdout.columns ?? MAX_WIDTH);
    return this.#timeline.draw(this.#paint, { fromMs: this.#firstMs ?? toMs, toMs }, this.#marks, width);
  }

  #show(): void {
    const nowMs = performance.now();
    if (!this.#isTerminal) {
      if (this.#firstMs !== null) say(this.#logLine(nowMs));
      return;
    }
    const lines = ['', this.#headline(nowMs)];
    if (this.#firstMs !== null) lines.push('', ...this.picture(nowMs));
    this.#redraw(lines);
  }

  #headline(nowMs: number): string {
    const passed = seconds(nowMs - this.#sinceMs);
    const length = this.#lengthMs === null ? '' : ` of ${seconds(this.#lengthMs)}`;
    return `  ${this.#paint.bold(TITLES[this.#phase])}  ${dim(`${passed}${length}`)}`;
  }

  /** Acknowledged writes of the last second, by preset, on the side of the majority and on the other one. */
  #logLine(nowMs: number): string {
    const rates = PRESETS.map((preset) => {
      const [more, fewer] = SIDES.map((side) => this.#timeline.lastSecond(preset, side, nowMs).acknowledged);
      return `${preset} ${String(more).padStart(2)} | ${String(fewer).padStart(2)}`;
    });
    const at = seconds(nowMs - (this.#firstMs ?? nowMs)).padStart(7);
    return `${at}  ${this.#phase.padEnd(8)}  writes/s  ${rates.join('   ')}`;
  }

  #redraw(lines: readonly string[]): void {
    const back = this.#drawn === 0 ? '' : `\u001b[${this.#drawn}A`;
    process.stdout.write(`${back}${lines.map((line) => `\r${line}\u001b[K\n`).join('')}`);
    this.#drawn = lines.length;
  }

  /** Takes what was drawn off the screen, since the final picture follows. */
  [Symbol.dispose](): void {
    if (this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
    if (!this.#isTerminal) return;
    const back = this.#drawn === 0 ? '' : `\u001b[${this.#drawn}A\r\u001b[J`;
    process.stdout.write(`${back}\u001b[?25h`);
  }
}
