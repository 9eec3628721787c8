/** What the demonstration prints: steps, a progress bar and a histogram, on a terminal and in a plain log alike. */
import process from 'node:process';

const BAR_WIDTH = 30;
/** In a log a bar is a line each time it has grown by this part. */
const LOG_STEP = 0.25;

const { stdout } = process;
const isColored = stdout.isTTY === true && process.env.NO_COLOR === undefined;

function colored(code: number, text: string): string {
  return isColored ? `\u001b[${code}m${text}\u001b[0m` : text;
}

export const bold = (text: string) => colored(1, text);
export const dim = (text: string) => colored(2, text);
export const green = (text: string) => colored(32, text);
export const yellow = (text: string) => colored(33, text);
export const red = (text: string) => colored(31, text);

export function say(text = ''): void {
  stdout.write(`${text}\n`);
}

export function step(text: string): void {
  say(`\n${bold(text)}`);
}

export const count = (n: number) => n.toLocaleString('en-US');
export const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;

/** A line that grows: `progress(done)` as often as one likes, `progress(total)` at the end. */
export function progressBar(label: string, total: number): (done: number) => void {
  const startMs = performance.now();
  let shown = -1;
  return (done) => {
    const part = total === 0 ? 1 : done / total;
    const isEnd = done >= total;
    if (!isEnd && part - shown < (stdout.isTTY === true ? 0.01 : LOG_STEP)) return;
    if (isEnd && shown >= 1) return;
    shown = part;
    const full = Math.round(part * BAR_WIDTH);
    const bar = '█'.repeat(full) + '░'.repeat(BAR_WIDTH - full);
    const rate = Math.round(done / Math.max(0.001, (performance.now() - startMs) / 1000));
    const line = `  ${label} ${bar} ${String(Math.floor(part * 100)).padStart(3)} %  ${count(done)} (${count(rate)}/s)`;
    if (stdout.isTTY === true) stdout.write(`\r${line}\u001b[K${isEnd ? '\n' : ''}`);
    else say(line);
  };
}

/** A bar for each of `buckets` equal ranges of the values, in milliseconds. */
export function histogram(valuesMs: readonly number[], buckets: number): string[] {
  if (valuesMs.length === 0) return [];
  const [low, high] = [Math.min(...valuesMs), Math.max(...valuesMs)];
  const width = Math.max(1, (high - low) / buckets);
  const counts = new Array<number>(buckets).fill(0);
  for (const value of valuesMs) {
    const at = Math.min(buckets - 1, Math.floor((value - low) / width));
    counts[at] = (counts[at] as number) + 1;
  }
  const most = Math.max(...counts);
  return counts.map((n, i) => {
    const label = `${(low + i * width).toFixed(0)}-${(low + (i + 1) * width).toFixed(0)} ms`.padStart(16);
    const bar = '█'.repeat(Math.ceil((n / most) * BAR_WIDTH));
    return `  ${label} ${bar.padEnd(BAR_WIDTH)} ${n}`;
  });
}

/** Least, middle and greatest. */
export function spread(valuesMs: readonly number[]): string {
  const sorted = [...valuesMs].sort((a, b) => a - b);
  const at = (part: number) => `${(sorted[Math.floor(part * (sorted.length - 1))] ?? 0).toFixed(0)} ms`;
  return `min ${at(0)}, median ${at(0.5)}, max ${at(1)}`;
}
