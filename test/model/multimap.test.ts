/** The multimap through a client of a real cluster, against the same model as on an invoker without a grid. */
import { it } from 'vitest';
import { commands, Expected } from '../services/multimap-model.js';
import { MODEL_TIMEOUT_MS, runModel } from './harness.js';

it.each(['SET', 'LIST'] as const)(
  'a multimap of three members does what a plain model does, as a %s',
  { timeout: MODEL_TIMEOUT_MS },
  async (valueCollectionType) => {
    const member = { multimaps: { default: { valueCollectionType } } };
    await runModel(commands(20), { member }, (client, name) => ({
      model: new Expected(valueCollectionType === 'SET'),
      real: client.getMultiMap(name),
    }));
  },
);
