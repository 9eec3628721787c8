/** Calls that wait at a primary: in which form they are run when what they wait for comes. */
import { expect, it } from 'vitest';
import { type ReplySink, TO_NOBODY } from '../../partitions/call.js';
import { ParkedCalls } from '../../partitions/parked.js';
import { Header } from '../../src/wire/frame.js';
import { HandClock } from '../wire/link-bench.js';

const sink = (): ReplySink => ({ ...TO_NOBODY });

function callOf(view: number): Header {
  return Object.assign(new Header(), { partition: 1, view, lineage: 7, client: 5, sequence: 9 });
}

it('a call that is asked again is run with the view that its caller knows by then, for whoever asked last', () => {
  const ran: (readonly [Header, ReplySink])[] = [];
  const parked = new ParkedCalls(new HandClock(), (header, _reader, to) => void ran.push([header, to]));
  const header = callOf(1);
  expect(parked.park({ header, body: Buffer.alloc(4), sink: sink() }, 3, 'q', 60_000)).toBe(true);
  // Frames are read into one header, again and again.
  header.sequence = 10;
  const last = sink();
  expect(parked.isAskedAgain({ header: callOf(2), sink: last })).toBe(true);
  expect(parked.isAskedAgain({ header, sink: sink() })).toBe(false);
  parked.wake(1, 3, 'q');
  expect(ran).toEqual([[callOf(2), last]]);
  expect(parked.size).toBe(0);
});

it('a call whose time is over but for what the clock cannot tell is run again soon, not never', () => {
  const clock = new HandClock();
  let runs = 0;
  const parked = new ParkedCalls(clock, (header) => {
    // By its own reckoning there was a little left the first time.
    if (++runs === 1) parked.park({ header, body: Buffer.alloc(4), sink: sink() }, 3, 'q', 1e-10);
  });
  parked.park({ header: callOf(1), body: Buffer.alloc(4), sink: sink() }, 3, 'q', 1_000);
  clock.advance(1_000);
  expect([runs, parked.size]).toEqual([1, 1]);
  clock.advance(50);
  expect([runs, parked.size]).toEqual([2, 0]);
});
