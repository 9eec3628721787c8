/**
 * What the options of a structure really give: the class, each promise and why it holds or not, which failures can
 * lose what, and which option is responsible. Pure; `client.explain` and `elsegrid explain` print it.
 * Invariant: it never promises what this version does not do.
 */
import { type CallConsistency, classOf, type GivenClass } from './class.js';
import type { CallChange, ExplainInput, Explanation, Facts, Promised } from './explanation.js';
import { LOSSES } from './losses.js';
import { nowOf } from './now.js';
import { mayAnswerEarly, PROMISES } from './promises.js';

export function explain(input: ExplainInput): Explanation {
  const { structure, kind, options, call = null } = input;
  const facts = factsOf(input, call);
  const promises = promisesOf(facts);
  return {
    structure,
    kind,
    preset: options.consistency,
    call,
    given: facts.given,
    classText: classText(facts),
    promises,
    losses: LOSSES.flatMap((loss) => loss(facts)),
    otherCalls: otherCalls(input, facts, promises),
    now: facts.now,
  };
}

function factsOf(
  { kind, options, protection = null, state }: ExplainInput,
  call: CallConsistency | null,
): Facts {
  const now = state === undefined ? null : nowOf(state, options);
  const covered = Math.min(options.backups.sync, now?.syncBackupsNow ?? options.backups.sync);
  const reduced = covered < options.backups.sync;
  const nearCache = state?.nearCache ?? null;
  return { kind, options, call, given: classOf(options, call), protection, nearCache, now, covered, reduced };
}

function promisesOf(facts: Facts): Promised[] {
  return PROMISES.map(({ id, text, check }) => ({ id, text, ...check(facts) }));
}

/** What a call that asks for the opposite would get. */
function otherCalls(input: ExplainInput, facts: Facts, promises: readonly Promised[]): CallChange {
  const consistency = facts.given.reads === 'latency' ? 'EC' : 'EL';
  const other = factsOf(input, consistency);
  const theirs = promisesOf(other);
  const holdsIn = (list: readonly Promised[], wanted: string) =>
    list.some(({ id, holds }) => id === wanted && holds);
  const ids = promises.map(({ id }) => id);
  return {
    consistency,
    classText: `${writesText(other)}; ${readText(other.given)}`,
    gains: ids.filter((id) => holdsIn(theirs, id) && !holdsIn(promises, id)),
    givesUp: ids.filter((id) => holdsIn(promises, id) && !holdsIn(theirs, id)),
  };
}

function classText(facts: Facts): string {
  return `${nameText(facts)}: ${writesText(facts)}; ${readText(facts.given)}; ${splitText(facts)}`;
}

/** The preset, and what it really comes to where that is another one. */
function nameText({ options, given, call }: Facts): string {
  const { consistency } = options;
  if (call !== null) return `${consistency}, called with { consistency: '${call}' }`;
  return given.name === consistency ? consistency : `${consistency}, with the writes of ${given.name}`;
}

function writesText(facts: Facts): string {
  const { options, given } = facts;
  const { sync, async } = options.backups;
  if (given.writes === 'latency') {
    const why = given.writeKnob === 'backups.sync' ? ' (backups.sync is 0)' : '';
    return `writes answer after the primary alone${why}${followText(given.writeKnob === 'backups.sync' ? async : sync + async, sync === 0)}`;
  }
  const early = mayAnswerEarly(facts)
    ? ` for ${options.backupTimeoutMs} ms, and then count as done (onBackupTimeout)`
    : '';
  return `writes wait for ${sync} sync ${sync === 1 ? 'backup' : 'backups'}${early}${followText(async, true)}`;
}

function followText(backups: number, areAsync: boolean): string {
  if (backups === 0) return '';
  const kind = areAsync ? 'async ' : '';
  return `, ${backups} ${kind}${backups === 1 ? 'backup follows' : 'backups follow'}`;
}

function splitText({ given, protection, now }: Facts): string {
  if (given.p === 'consistent') {
    const here =
      now === null || now.ordered
        ? ''
        : '; not served now, because the cluster was not founded by order (ERR_NOT_FOUNDED)';
    return `in a split only the side with the majority serves, the others refuse when their lease ends${here}`;
  }
  const but =
    protection === null
      ? ''
      : `, but with fewer than ${protection.minimumClusterSize} members refuses ${CALLS[protection.protectOn]}`;
  return `in a split every side goes on with what it has${but}, and the sides are merged when the network heals`;
}

const CALLS = { READ: 'reads', WRITE: 'writes', READ_WRITE: 'all calls' } as const;

function readText({ reads }: GivenClass): string {
  return reads === 'latency'
    ? 'reads go to the nearest replica, and may be behind'
    : 'reads go to the primary';
}
