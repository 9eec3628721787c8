/**
 * Structures through a client of a real cluster against plain JavaScript: sequences of calls are drawn, each is made on both,
 * and what it gives is compared. A failing sequence is made as short as it can be. Each run has a structure of its own.
 */
import fc from 'fast-check';
import { expect } from 'vitest';
import type { Client } from '../../src/index.js';
import { type ClusterOptions, startCluster } from '../../src/testing.js';

/** Sequences for each model; more with ELSEGRID_MODEL_RUNS. */
export const RUNS = Number(process.env.ELSEGRID_MODEL_RUNS ?? 200);
/** For all runs of one model. */
export const MODEL_TIMEOUT_MS = 60_000 + 60 * RUNS;

/** What a method gives: of the model, and of the structure. */
export type Methods<Model, Real, Step> = Readonly<
  Record<string, readonly [(model: Model, step: Step) => unknown, (real: Real, step: Step) => unknown]>
>;

class Call<Model extends object, Real, Step> implements fc.AsyncCommand<Model, Real> {
  readonly #method: string;
  readonly #step: Step;
  readonly #methods: Methods<Model, Real, Step>;

  constructor(methods: Methods<Model, Real, Step>, method: string, step: Step) {
    this.#methods = methods;
    this.#method = method;
    this.#step = step;
  }

  check(): boolean {
    return true;
  }

  async run(model: Model, real: Real): Promise<void> {
    const [expected, done] = this.#methods[this.#method] as Methods<Model, Real, Step>[string];
    const given = await done(real, this.#step);
    expect(given, this.#method).toEqual(expected(model, this.#step));
  }

  toString(): string {
    return `${this.#method}(${fc.stringify(this.#step)})`;
  }
}

/** Sequences of calls of these methods. `weights`: how often a method is drawn; 1 unless given. */
export function commandsOf<Model extends object, Real, Step>(
  methods: Methods<Model, Real, Step>,
  step: fc.Arbitrary<Step>,
  weights: Readonly<Record<string, number>>,
  maxCommands: number,
): fc.Arbitrary<Iterable<fc.AsyncCommand<Model, Real>>> {
  const call = fc.oneof(
    ...Object.keys(methods).map((method) => ({
      weight: weights[method] ?? 1,
      arbitrary: step.map(
        (each): fc.AsyncCommand<Model, Real> => new Call<Model, Real, Step>(methods, method, each),
      ),
    })),
  );
  return fc.commands([call], { maxCommands, size: 'max' });
}

/** Runs sequences through a client of a cluster; `start` gives model and structure of a run, by a name of its own. */
export async function runModel<Model extends object, Real extends { destroy(): Promise<unknown> }>(
  commands: fc.Arbitrary<Iterable<fc.AsyncCommand<Model, Real>>>,
  options: ClusterOptions,
  start: (client: Client, name: string) => { readonly model: Model; readonly real: Real },
): Promise<void> {
  // Few partitions: calls that go to all of them are a part of what is drawn.
  const member = { partitionCount: 3, ...options.member };
  await using cluster = await startCluster({ ...options, member });
  let runs = 0;
  const property = fc.asyncProperty(commands, async (calls) => {
    const { model, real } = start(cluster.client, `run-${runs++}`);
    await fc.asyncModelRun(() => ({ model, real }), calls);
    await real.destroy();
  });
  await fc.assert(property, { numRuns: RUNS });
  expect(runs).toBeGreaterThanOrEqual(RUNS);
}
