/**
 * The client process: connects to all systems, fills them, warms up, and measures round by round, cell by cell, the
 * systems by turns, so that a machine that slows down does it to all. Tells each result to its parent.
 */
import { cellName, type FromClient, type Task } from './cells.js';
import { liveWithParent, run, task, tell } from './child.js';
import type { Driver } from './driver.js';
import { connectTo } from './drivers.js';
import { Data, fill, measure, type Slice, summary } from './load.js';

/** Turns that each system gets in a cell of a round. */
const SLICES = 5;

const say = (message: FromClient) => tell(message);

liveWithParent();
run(async () => {
  const work = task<Task>();
  say({ type: 'ready' });
  const sizes = [...new Set(work.cells.map(({ valueBytes }) => valueBytes))];
  const data = new Map(sizes.map((size) => [size, new Data(size)]));
  const drivers = new Map<string, Driver>();
  for (const system of work.systems) {
    const driver = await connectTo(system, work.addresses, Math.max(...sizes));
    for (const each of data.values()) await fill(driver, each);
    drivers.set(system, driver);
  }
  await warmUp(work, drivers, data);
  await rounds(work, drivers, data);
  for (const driver of drivers.values()) await driver.close();
  say({ type: 'done' });
});

async function warmUp(work: Task, drivers: Map<string, Driver>, data: Map<number, Data>): Promise<void> {
  for (const [system, driver] of drivers) {
    say({ type: 'progress', text: `warming up ${system}` });
    const operations = [...new Set(work.cells.map(({ operation }) => operation))];
    for (const [valueBytes, each] of data) {
      for (const operation of operations) {
        const seconds = work.warmUpSeconds / data.size / operations.length;
        await measure(driver, { operation, inFlight: 64, valueBytes }, each, seconds);
      }
    }
  }
}

async function rounds(work: Task, drivers: Map<string, Driver>, data: Map<number, Data>): Promise<void> {
  for (let round = 0; round < work.rounds; round++) {
    for (const [index, cell] of work.cells.entries()) {
      say({ type: 'progress', text: `round ${round + 1} of ${work.rounds}: ${cellName(cell)}` });
      const systems = rotated(work.systems, round + index);
      const slices = await inTurn(systems, work.seconds, (system, seconds) =>
        measure(drivers.get(system) as Driver, cell, data.get(cell.valueBytes) as Data, seconds),
      );
      for (const system of systems) {
        const measured = summary(slices.get(system) as Slice[]);
        say({ type: 'sample', sample: { system, cell, round, ...measured } });
      }
    }
  }
}

/** Measures systems for `seconds` each, in slices by turns, so that a change of the machine's speed hits them alike. */
async function inTurn(
  systems: readonly string[],
  seconds: number,
  one: (system: string, seconds: number) => Promise<Slice>,
): Promise<Map<string, Slice[]>> {
  const slices = new Map<string, Slice[]>(systems.map((system) => [system, []]));
  for (let slice = 0; slice < SLICES; slice++) {
    for (const system of rotated(systems, slice))
      slices.get(system)?.push(await one(system, seconds / SLICES));
  }
  return slices;
}

/** Nobody always comes first, or always behind the same one. */
function rotated<T>(items: readonly T[], by: number): T[] {
  const start = by % items.length;
  return [...items.slice(start), ...items.slice(0, start)];
}
