/**
 * `npm run imports`: reads all sources and fails on an import that .dependency-cruiser.mjs does not allow.
 * A check that reads nothing finds nothing, so it also fails when it read few modules, or not every file
 * that is there. `--root <dir>` checks another tree with the same rules.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { cruise } from 'dependency-cruiser';
import extractTsConfig from 'dependency-cruiser/config-utl/extract-ts-config';
import rules, { LAYERS } from '../.dependency-cruiser.mjs';

const FOLDERS = [
  'src',
  'partitions',
  'replication',
  'nearcache',
  'listeners',
  'client',
  'chaos',
  'bench',
  'demo',
  'test',
];
/** Fewer modules than this mean that the reading went wrong, not that the project is small. */
const FEWEST_MODULES = 20;

const { values } = parseArgs({ options: { root: { type: 'string' } } });
const project = fileURLToPath(new URL('..', import.meta.url));
const root = resolve(values.root ?? project);
process.chdir(root);

const folders = FOLDERS.filter((folder) => existsSync(folder));
const onDisk = folders.flatMap(sourcesBelow);
const { modules, summary } =
  onDisk.length === 0 ? { modules: [], summary: { violations: [] } } : await read();
const own = new Set(modules.filter((module) => /\.ts$/.test(module.source)).map((module) => module.source));
const imports = modules
  .filter((module) => own.has(module.source))
  .reduce((sum, module) => sum + module.dependencies.length, 0);
console.log(
  `imports: read ${own.size} modules with ${imports} imports in ${folders.join(', ') || 'no folder'}`,
);

const problems = [];
if (own.size < FEWEST_MODULES) {
  problems.push(
    `only ${own.size} modules were read; at least ${FEWEST_MODULES} are expected, so the check proves nothing`,
  );
}
if (imports === 0)
  problems.push('no import was found in any module; the TypeScript sources were not understood');
for (const file of onDisk) {
  if (!own.has(file)) problems.push(`${file} was not read`);
  if (!LAYERS.some((layer) => new RegExp(layer.path).test(file))) {
    problems.push(`${file} belongs to no layer of .dependency-cruiser.mjs; move it, or add its layer there`);
  }
}
for (const violation of summary.violations.filter(({ rule }) => rule.severity === 'error')) {
  problems.push(describe(violation));
}
const warnings = summary.violations.filter(({ rule }) => rule.severity === 'warn');

for (const { to } of warnings)
  console.log(`  warning  reached-from-a-door: ${to} is reached from no entry of the product`);
for (const problem of problems) console.log(`  error    ${problem}`);
console.log(problems.length === 0 ? 'imports: no violation' : `imports: ${problems.length} problems`);
process.exitCode = problems.length === 0 ? 0 : 1;

async function read() {
  const result = await cruise(
    folders,
    { ...rules.options, ruleSet: { forbidden: presentRules() }, validate: true, baseDir: root },
    {
      extensions: ['.ts', '.mts', '.js', '.mjs', '.json'],
      conditionNames: ['import', 'types', 'node', 'default'],
      exportsFields: ['exports'],
    },
    { tsConfig: extractTsConfig(join(project, 'tsconfig.json')) },
  );
  return result.output;
}

/** While there is no door yet, no file can be reached from one. */
function presentRules() {
  const hasDoor = existsSync('src/index.ts');
  return rules.forbidden.filter((rule) => hasDoor || rule.name !== 'reached-from-a-door');
}

function sourcesBelow(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts') && !entry.name.endsWith('.d.ts'))
    .map((entry) => relative('.', join(entry.parentPath ?? entry.path, entry.name)))
    .filter((file) => !/(^|\/)(node_modules|public|fixtures)\//.test(file));
}

function describe({ rule, from, to, cycle }) {
  const comment = rules.forbidden.find(({ name }) => name === rule.name)?.comment ?? '';
  const path = cycle === undefined ? to : cycle.map((step) => step.name ?? step).join(' -> ');
  return `${rule.name}: ${from}${path === from ? '' : ` -> ${path}`}  (${comment})`;
}
