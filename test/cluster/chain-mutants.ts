/**
 * The chain with one rule broken: the text of `chain.ts` with a line changed, compiled on its own. The tests use it
 * to see that exploration and random runs would find the fault. A change that no longer fits the text is an error.
 */
import { readFileSync } from 'node:fs';
import ts from 'typescript';
import type { ChainClass } from './chain-explorer.js';

export interface Mutation {
  readonly name: string;
  readonly from: string;
  readonly to: string;
}

const SOURCE = new URL('../../src/cluster/chain.ts', import.meta.url);
const IMPORTS = [
  "import { isQuorum, type MemberId, type MemberInfo } from './view.js';",
  "import { type Fences, weakest } from './lease.js';",
];
const REPLACEMENT = `type Fences = unknown; const weakest = (fences) => fences[0];
type MemberId = string; type MemberInfo = { id: string };
function isQuorum(members, has) {
  const present = members.filter((member) => has(member.id)).length;
  if (2 * present === members.length) return has(members[0].id);
  return 2 * present > members.length;
}`;

export const MUTATIONS: readonly Mutation[] = [
  {
    name: 'an acceptor that votes below its promise',
    from: `    if (this.#promised !== null && compareBallots(this.#promised, ballot) > 0) {
      this.#answer(from, { kind: 'refused', number, ballot, higher: this.#promised });
      return;
    }
    this.#promised = ballot;
    this.#accepted`,
    to: `    this.#promised = ballot;
    this.#accepted`,
  },
  {
    name: 'a proposer that ignores the votes it hears of',
    from: 'if (highest !== null) proposal.value = highest.value;',
    to: '',
  },
  {
    name: 'a proposer that takes any vote instead of the highest',
    from: '(highest === null || compareBallots(vote.ballot, highest.ballot) > 0)',
    to: '(highest === null || compareBallots(vote.ballot, highest.ballot) < 0)',
  },
  {
    name: 'a free ballot that is used twice',
    from: `      !this.#freeBallotUsed &&
      this.#promised === null &&
      this.#accepted === null
`,
    to: '      (this.#promised === null || this.#promised.round === 0)\n',
  },
  {
    name: 'a free ballot for everybody',
    from: 'current.members[0]?.id === this.#self &&',
    to: '',
  },
  {
    name: 'a half that counts as a quorum without the oldest',
    from: 'if (2 * present === members.length) return has(members[0].id);',
    to: 'if (2 * present === members.length) return true;',
  },
  {
    name: 'a quorum of fewer than half',
    from: 'return 2 * present > members.length;',
    to: 'return 3 * present >= members.length;',
  },
  {
    name: 'a proposer that counts promises of another ballot',
    from: `      proposal.phase !== 'prepare' ||
      compareBallots(proposal.ballot, message.ballot) !== 0`,
    to: `      proposal.phase !== 'prepare'`,
  },
  {
    name: 'a proposer that counts votes for another ballot',
    from: `      proposal.phase !== 'accept' ||
      compareBallots(proposal.ballot, message.ballot) !== 0`,
    to: `      proposal.phase !== 'accept'`,
  },
  {
    name: 'a member that takes over an older view',
    from: 'value.number <= this.#current.number) return false;',
    to: 'value.number < this.#current.number) return false;',
  },
  {
    name: 'an acceptor that answers no refused ballot',
    from: `    if (this.#promised !== null && compareBallots(this.#promised, ballot) > 0) {
      this.#answer(from, { kind: 'refused', number, ballot, higher: this.#promised });
      return;
    }
    this.#promised = ballot;
    this.#answer(from, { kind: 'promise'`,
    to: `    if (this.#promised !== null && compareBallots(this.#promised, ballot) > 0) return;
    this.#promised = ballot;
    this.#answer(from, { kind: 'promise'`,
  },
  {
    name: 'a member that tells nobody of its newer view',
    from: 'this.#host.senderIsBehind(from);',
    to: '{}',
  },
  {
    name: 'a member that does not ask for a newer view',
    from: 'this.#host.selfIsBehind(from);',
    to: '',
  },
];

export async function mutant({ name, from, to }: Mutation): Promise<ChainClass> {
  const source = readFileSync(SOURCE, 'utf8');
  const text = IMPORTS.reduce((rest, line) => rest.replace(line, ''), `${REPLACEMENT}\n${source}`);
  const places = text.split(from).length - 1;
  if (places !== 1) throw new Error(`'${name}' fits ${places} places of chain.ts instead of one`);
  const js = ts.transpileModule(
    text.replace(from, () => to),
    {
      compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
    },
  ).outputText;
  const module: { Chain: ChainClass } = await import(`data:text/javascript,${encodeURIComponent(js)}`);
  return module.Chain;
}
