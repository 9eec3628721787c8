/** Functions that tests run by name, as users register them. */
import { Scheduler, SimClock } from '../../chaos/sim/virtual-clock.js';
import { UserFunctions } from '../../partitions/user-functions.js';
import type { Logger } from '../../src/base/ports.js';
import { ValueCodec } from '../../src/wire/values.js';

const QUIET: Logger = { log: () => {} };

export function someFunctions(
  logger: Logger = QUIET,
  clock = new SimClock(new Scheduler(), 'test'),
): UserFunctions {
  const functions = new UserFunctions({ codec: new ValueCodec(), clock, logger });
  const { processors, longs } = functions;
  processors.add('append', (entry, argument) => {
    const old = entry.exists ? String(entry.value) : '';
    entry.value = `${old}${argument ?? '.'}`.slice(-20);
    return old;
  });
  processors.add('mark', (entry) => {
    const { exists } = entry;
    entry.value = 'marked';
    return exists;
  });
  processors.add('read', (entry) => entry.value);
  processors.add('remove', (entry) => entry.remove());
  processors.add('fade', (entry, argument) => entry.set('fading', Number(argument)));
  processors.add('throw', (entry) => {
    entry.value = 'never';
    throw new Error('as it should');
  });
  longs.add('double', (value) => BigInt.asIntN(64, value * 2n));
  longs.add('plus', (value, argument) => BigInt.asIntN(64, value + BigInt(argument as number)));
  longs.add('throw', () => {
    throw new Error('as it should');
  });
  return functions;
}
