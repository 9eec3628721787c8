/**
 * The client process: connects to all systems, fills them, warms up, and measures round by round, cell by cell, one
 * system after the other, so that a machine that slows down does it to all. Tells each result to its parent.
 */
import { type Cell, cellName, type FromClient, type Task } from './cells.js';
import { liveWithParent, run, task, tell } from './child.js';
import { connectTo, type Driver } from './drivers.js';
import { Data, fill, measure } from './load.js';

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
      for (const system of rotated(work.systems, round + index)) {
        const sample = await one(drivers.get(system) as Driver, cell, data, work.seconds);
        say({ type: 'sample', sample: { system, cell, round, ...sample } });
      }
    }
  }
}

function one(driver: Driver, cell: Cell, data: Map<number, Data>, seconds: number) {
  return measure(driver, cell, data.get(cell.valueBytes) as Data, seconds);
}

/** Nobody always comes first, or always behind the same one. */
function rotated<T>(items: readonly T[], by: number): T[] {
  const start = by % items.length;
  return [...items.slice(start), ...items.slice(0, start)];
}
