/** The simulated clock and network keep the contracts of their ports, drifting and under ordinary latency. */
import { SimNetwork } from '../../chaos/sim/network.js';
import { Scheduler, SimClock } from '../../chaos/sim/virtual-clock.js';
import { clockContract } from './clock.contract.js';
import { transportContract } from './transport.contract.js';

const LIMIT_MS = 60_000;

function settler(scheduler: Scheduler) {
  return async (condition: () => boolean, what: string): Promise<void> => {
    const held = await scheduler.runUntil(condition, scheduler.now + LIMIT_MS);
    if (!held) throw new Error(`waited ${LIMIT_MS} virtual ms in vain until ${what}`);
  };
}

clockContract('simulated, exact', async () => {
  const scheduler = new Scheduler();
  return { clock: new SimClock(scheduler, 'a'), settle: settler(scheduler), dispose: async () => {} };
});

clockContract('simulated, with offset and drift', async () => {
  const scheduler = new Scheduler();
  const clock = new SimClock(scheduler, 'a', {
    offsetMs: 98_765.4321,
    rate: 0.9513,
    wallOffsetMs: -3_600_000,
  });
  return { clock, settle: settler(scheduler), dispose: async () => {} };
});

transportContract('simulated', async () => {
  const scheduler = new Scheduler();
  const network = new SimNetwork({ scheduler, seed: 1 });
  const clock = new SimClock(scheduler, '127.0.0.1');
  return {
    transport: network.transport('127.0.0.1', clock),
    otherTransport: network.transport('127.0.0.2', new SimClock(scheduler, '127.0.0.2')),
    clock,
    settle: settler(scheduler),
    dispose: async () => {},
  };
});

transportContract('simulated, one process with itself', async () => {
  const scheduler = new Scheduler();
  const network = new SimNetwork({ scheduler, seed: 2, link: { minLatencyMs: 1, meanLatencyMs: 5 } });
  const clock = new SimClock(scheduler, '127.0.0.1', { offsetMs: 5_000, rate: 1.04 });
  return {
    transport: network.transport('127.0.0.1', clock),
    clock,
    settle: settler(scheduler),
    dispose: async () => {},
  };
});
