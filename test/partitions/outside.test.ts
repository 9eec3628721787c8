/** Calls that wait for a store: in which form they are made when the store has them. */
import { expect, it } from 'vitest';
import { type ReplySink, TO_NOBODY } from '../../partitions/call.js';
import { Outside, type Planned } from '../../partitions/outside.js';
import { Arrival } from '../../partitions/parked.js';
import type { StorePlan } from '../../partitions/service.js';
import { NO_STORES, type WriteProblem } from '../../partitions/store-port.js';
import { Reader } from '../../src/base/bytes.js';
import { Header } from '../../src/wire/frame.js';
import { HandClock } from '../wire/link-bench.js';

const EPOCH = { lineage: 7, epoch: 2, start: 0 };
const sink = (): ReplySink => ({ ...TO_NOBODY });

it('a write is made as its own caller asked for it, although links use their headers and frames again', () => {
  const made: (readonly [lineage: number, view: number, sink: ReplySink])[] = [];
  const written: ((problem: WriteProblem | null) => void)[] = [];
  const outside = new Outside<string>({
    clock: new HandClock(),
    port: {
      ...NO_STORES,
      whyNot: () => null,
      write: (_structure, _entries, done) => void written.push(done),
    },
    run: () => {},
    leads: () => true,
    amend: () => true,
    whenSafe: (_place, _call, done) => done(true),
    giveUp: () => {},
    apply: ({ arrival: { header, sink: to } }: Planned<string>) =>
      made.push([header.lineage, header.view, to]),
  });
  const header = Object.assign(new Header(), { partition: 1, view: 3, lineage: 7, client: 5, sequence: 9 });
  const arrival = new Arrival(header, new Reader(Buffer.alloc(4)), sink());
  const plan = { entries: [{ key: Buffer.from('k'), value: null }], begin() {}, apply() {} };
  const place = { replica: { id: 1, history: [EPOCH] }, serviceId: 1, structure: 'm', options: {} };
  const planned = { arrival, doing: 'it', plan: plan as unknown as StorePlan };
  outside.carryOut(planned, place as unknown as Parameters<typeof outside.carryOut>[1]);
  // Another call came on the same link, and then this one again.
  Object.assign(header, { lineage: 8, sequence: 10 });
  const last = sink();
  const again = Object.assign(new Header(), { ...header, lineage: 7, sequence: 9, view: 4 });
  expect(outside.isAskedAgain(new Arrival(again, new Reader(Buffer.alloc(4)), last))).toBe(true);
  written[0]?.(null);
  expect(made).toEqual([[7, 4, last]]);
  expect(outside.size).toBe(0);
});

it('a load that began in a fork is not put into the chain, whose view has the same number', () => {
  const loads: ((found: never) => void)[] = [];
  let puts = 0;
  const outside = new Outside<string>({
    clock: new HandClock(),
    port: { ...NO_STORES, whyNone: () => null, load: (_structure, _keys, done) => void loads.push(done) },
    run: () => {},
    leads: () => true,
    amend: () => {
      puts++;
      return true;
    },
    whenSafe: (_place, _call, done) => done(true),
    giveUp: () => {},
    apply: () => {},
  });
  const header = Object.assign(new Header(), { partition: 1, view: 15, lineage: 2, client: 5, sequence: 9 });
  const begun = { lineage: 1, epoch: 12, start: 0 };
  const fork = { lineage: 2, epoch: 15, start: 100 };
  const replica = { id: 1, epoch: 15, seq: 500, history: [begun, fork], find: () => undefined };
  const wait = () => {
    const place = { replica, serviceId: 1, structure: 'm', options: {} };
    const target = { isCurrent: () => true, put: () => {} };
    const needs = { why: 'load', keys: [Buffer.from('k')], target, known: [] };
    outside.wait(new Arrival(header, new Reader(Buffer.alloc(4)), sink()), place as never, needs as never);
  };
  const found = [{ value: Buffer.from('old') }] as never;
  wait();
  // The member leaves the fork, and leads in the chain, in a view with the same number.
  outside.release(1, 'this member goes on in another lineage');
  Object.assign(replica, { seq: 118, history: [begun, { ...fork, lineage: 1 }] });
  loads[0]?.(found);
  expect(puts).toBe(0);
  wait();
  loads[1]?.(found);
  expect(puts).toBe(1);
});
