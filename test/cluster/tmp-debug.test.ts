import { it } from 'vitest';
import { SeededRandom } from '../../src/base/random.js';
import { Bench, id, OPTIONS } from './lineages-bench.js';
const { heartbeatMs, suspicionMs } = OPTIONS;
it('debug', () => {
  const out: string[] = [];
  for (let seed = 1; seed <= 150; seed++) {
    const bench = new Bench(seed);
    const random = new SeededRandom(seed, 'cuts');
    const size = 2 + random.below(5);
    bench.view(size);
    bench.beats(6);
    const any = () => 1 + random.below(size);
    for (let phase = 0; phase < 6; phase++) {
      bench.heal();
      bench.paused.clear();
      for (let i = random.below(3 * size); i > 0; i--) bench.cuts.add(`${id(any())}>${id(any())}`);
      if (random.below(3) === 0) bench.pause(any());
      bench.run(heartbeatMs * (1 + random.below(30)));
    }
    bench.heal();
    bench.paused.clear();
    const all = Array.from({ length: size }, (_, i) => i + 1);
    const show = () => all.map((n) => { const l = bench.of(n); return `${n}:${l.view?.lineage.slice(0, 4)}#${l.view?.number}[${bench.numbersIn(n)}] chain#${l.chainView?.number}[${l.chainView?.members.map((m) => Number(m.id.slice(0, 8)))}]`; }).join('  ');
    const first = show();
    const took = bench.runUntil(() => bench.isOne(all), 20 * suspicionMs);
    if (took === null || bench.of(1).view?.parent !== null || bench.lineageOf(1) !== '11111111-1111-4111-8111-111111111111') {
      const then = show();
      bench.run(30 * suspicionMs);
      out.push(`seed ${seed} took ${took}\n  heal ${first}\n  then ${then}\n  late ${show()}`);
    }
  }
  console.log(out.join('\n'), out.length);
});
