/**
 * Who may import whom. `npm run imports` checks it. Imports point one way:
 *
 *   base <- wire <- cluster <- policy <- partitions <- replication, nearcache, listeners <- client/core
 *        <- member, client <- doors (src/index.ts, src/testing.ts, client/index.ts, src/cli)
 *
 * Each layer below lists what it may import; everything else is a violation. Type-only imports count.
 */

const BELOW_PARTITIONS = ['base', 'wire', 'cluster', 'policy'];
const CORE = [...BELOW_PARTITIONS, 'partitions', 'replication', 'nearcache', 'listeners'];
const ROOTS_NEED = [...CORE, 'client core', 'protocol', 'config', 'map store'];

/** Order matters: a file belongs to the first layer whose path matches it. */
export const LAYERS = [
  { name: 'base', path: '^src/base/', may: [] },
  { name: 'wire', path: '^src/wire/', may: ['base'] },
  { name: 'cluster', path: '^src/cluster/', may: ['base', 'wire'] },
  { name: 'policy', path: '^src/policy/', may: ['base', 'wire', 'cluster'] },
  { name: 'partitions', path: '^partitions/', may: BELOW_PARTITIONS },
  { name: 'replication', path: '^replication/', may: [...BELOW_PARTITIONS, 'partitions'] },
  { name: 'nearcache', path: '^nearcache/', may: [...BELOW_PARTITIONS, 'partitions'] },
  { name: 'listeners', path: '^listeners/', may: [...BELOW_PARTITIONS, 'partitions'] },
  // The list of all messages and the configuration reach into every layer, but only for the files named here.
  {
    name: 'protocol',
    path: '^src/protocol\\.ts$',
    may: ['base', 'wire'],
    files: '(^|/)[a-z-]*(messages|ops)\\.ts$|^partitions/(call|services/index)\\.ts$',
  },
  {
    name: 'config',
    path: '^src/config(\\.ts$|/)',
    may: BELOW_PARTITIONS,
    files: '(^|/)[a-z-]*options\\.ts$|^partitions/(service|services/index)\\.ts$',
  },
  { name: 'client core', path: '^client/core/', may: CORE },
  { name: 'client door', path: '^client/index\\.ts$', may: [...ROOTS_NEED, 'client', 'platform'] },
  { name: 'client', path: '^client/', may: ROOTS_NEED },
  { name: 'member', path: '^src/member/', may: ROOTS_NEED },
  { name: 'platform', path: '^src/platform/', may: ['base'] },
  {
    name: 'doors',
    path: '^src/(index|testing)\\.ts$',
    may: [...ROOTS_NEED, 'client', 'client door', 'member', 'platform'],
  },
  { name: 'map store', path: '^src/mapstore/', may: ['base'] },
  { name: 'redis', path: '^src/redis(\\.ts$|/)', may: ['base', 'wire', 'map store'] },
  { name: 'console', path: '^src/console/', may: [...ROOTS_NEED, 'member'] },
  { name: 'chaos', path: '^chaos/', may: [...ROOTS_NEED, 'client', 'client door', 'member'] },
  { name: 'cli', path: '^src/cli/', may: '*', except: ['test'] },
  { name: 'bench', path: '^bench/', may: '*', except: ['test', 'cli'] },
  { name: 'demo', path: '^demo/', may: '*', except: ['test', 'cli'] },
  { name: 'test', path: '^test/', may: '*' },
];

/** Folders that may use the network, processes and the clock of Node itself, besides src/platform. */
const OUTSIDE_THE_PORTS = '^(src/platform|test|bench|demo|chaos/real)/';

/** The files that a user or a command starts from. What none of them reaches is not part of the product. */
const ENTRIES =
  '^(src/(index|testing|redis)\\.ts|client/index\\.ts|src/(cli/main|protocol)\\.ts|chaos/(main|explain-table)\\.ts|(bench|demo)/[^/]+\\.ts)$';

const join = (names) =>
  LAYERS.filter((layer) => names.includes(layer.name))
    .map((layer) => exactPath(layer))
    .join('|');

/** A pattern that matches the files of one layer and not those of an earlier, narrower one inside it. */
function exactPath(layer) {
  if (layer.name !== 'client') return layer.path;
  return '^client/(?!core/|index\\.ts$)';
}

function layerRule(layer) {
  const self = exactPath(layer);
  const to =
    layer.may === '*'
      ? { path: join(layer.except ?? []) }
      : {
          path: '^(src|partitions|replication|nearcache|listeners|client|chaos|bench|demo|test|tools)/',
          pathNot: [self, join(layer.may), layer.files ?? ''].filter((path) => path !== ''),
        };
  if (layer.may === '*' && to.path === '') return undefined;
  const may = layer.may === '*' ? `anything but ${layer.except?.join(', ')}` : layer.may.join(', ');
  return {
    name: `layer-${layer.name.replaceAll(' ', '-')}`,
    comment: `${layer.name} may import ${may === '' ? 'no other layer' : may}`,
    severity: 'error',
    from: { path: self },
    to,
  };
}

const CORE_PATH = '^(src/(base|wire|cluster|policy)|partitions|replication|nearcache|listeners)/';
const PRODUCT_PATH = '^(src|partitions|replication|nearcache|listeners|client|chaos)/';

export default {
  forbidden: [
    ...LAYERS.map(layerRule).filter((rule) => rule !== undefined),
    {
      name: 'services-apart',
      comment: 'a data structure never imports another one; what they share lies beside their folders',
      severity: 'error',
      from: { path: '^partitions/services/([^/]+)/' },
      to: { path: '^partitions/services/[^/]+/', pathNot: '^partitions/services/$1/' },
    },
    {
      name: 'ports-only',
      comment: 'only src/platform uses ws, pino and the network, clock and chance of Node; others get ports',
      severity: 'error',
      from: { pathNot: OUTSIDE_THE_PORTS },
      to: {
        path: '(^|/)node_modules/(ws|pino|@types/ws)/|^(node:)?(http|https|net|tls|dgram|crypto|perf_hooks|timers)(/promises)?$',
      },
    },
    {
      name: 'core-without-node',
      comment: 'the core runs under virtual time in the simulation: no module of Node',
      severity: 'error',
      from: { path: CORE_PATH },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'no-cycles',
      comment: 'no file imports itself through others',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no-orphans',
      comment: 'a file that imports nothing and that nothing imports is left over',
      severity: 'error',
      from: { orphan: true, pathNot: ['^test/.*\\.test\\.ts$', ENTRIES] },
      to: {},
    },
    {
      name: 'no-unresolved',
      comment: 'the file or package that is imported does not exist',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: 'declared-packages',
      comment: 'what the product imports is a dependency of package.json, not a development one',
      severity: 'error',
      from: { path: PRODUCT_PATH },
      // ioredis is an optional peer of users that import elsegrid/redis, and a development one here.
      to: {
        dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown', 'undetermined'],
        dependencyTypesNot: ['npm-peer'],
      },
    },
    {
      name: 'reached-from-a-door',
      comment: 'no entry of the product reaches this file',
      severity: 'warn',
      from: { path: ENTRIES },
      to: { path: PRODUCT_PATH, reachable: false },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    doNotFollow: { path: ['node_modules'] },
    exclude: { path: ['^dist/'] },
    moduleSystems: ['es6'],
  },
};
