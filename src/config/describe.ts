/**
 * What is published about the options of a member: the JSON Schema for editors and the reference page. Made from
 * the schemas, by `npm run generate` and by `elsegrid config schema`; nobody writes them by hand.
 */
import { memberSchema } from '../config.js';
import { environmentName, environmentPaths } from './environment.js';
import { NEAR_CACHES_KEY } from './near-caches.js';
import { PROTECTION_KEY } from './protection.js';
import { STRUCTURES } from './structures.js';
import { TIMING_PRESETS } from './timings.js';
import { leaves, type OptionNode, optionJson, optionTree, pathText } from './tree.js';

/** JSON Schema (draft 2020-12) of the configuration file; plain JSON data. */
export function configJsonSchema(): Record<string, unknown> {
  const { $schema, ...schema } = optionJson(memberSchema) as Record<string, unknown>;
  return {
    $schema,
    title: 'elsegrid member configuration',
    description: 'Options of an elsegrid member, as elsegrid start --config reads them (YAML or JSON).',
    ...schema,
  };
}

/** The schema as the text of its file, in the layout that the formatter of the project gives JSON. */
export function configSchemaText(): string {
  return `${layOut(configJsonSchema(), '', 0)}\n`;
}

const LINE_WIDTH = 110;

/** Objects on lines of their own; arrays on one line where they fit behind `before` columns. */
function layOut(value: unknown, indent: string, before: number): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const inner = `${indent}  `;
  if (Array.isArray(value)) {
    const line = `[${value.map((item) => layOut(item, inner, 0)).join(', ')}]`;
    if (!line.includes('\n') && before + line.length < LINE_WIDTH) return line;
    const items = value.map((item) => `${inner}${layOut(item, inner, inner.length)}`);
    return `[\n${items.join(',\n')}\n${indent}]`;
  }
  const fields = Object.entries(value).map(([key, field]) => {
    const start = `${inner}${JSON.stringify(key)}: `;
    return `${start}${layOut(field, inner, start.length)}`;
  });
  return fields.length === 0 ? '{}' : `{\n${fields.join(',\n')}\n${indent}}`;
}

const HEAD = `<!-- Made from src/config.ts by npm run generate; do not edit. -->

# Configuration of a member

The options have the same names everywhere: in \`startMember({ ... })\`, in a YAML or JSON file
(\`elsegrid start --config grid.yaml\`), in environment variables and on the command line.

\`\`\`yaml
# grid.yaml
clusterName: shop
port: 5701
join: [10.0.0.1:5701, 10.0.0.2:5701, 10.0.0.3:5701]
maps:
  default: { backups: { sync: 1 } }
  sessions: { backups: { sync: 1, async: 1 }, minSynced: 1 }
  'cache-*': { backups: { sync: 0, async: 1 } }
  'cart-*': { splitBrainProtection: three }
splitBrainProtections:
  three: { minimumClusterSize: 3, protectOn: WRITE }
limits:
  logBytes: 536870912
\`\`\`

- **Which value counts**: a flag before an environment variable, before the file, before the default.
  \`elsegrid config diff --config grid.yaml\` lists every value that is not the default, with its source.
- **Environment**: \`ELSEGRID_\` and the path in capitals, for example \`ELSEGRID_LIMITS_LOG_BYTES\`; lists with
  commas. \`ELSEGRID_CONFIG\` names a file, as \`--config\` does. An unknown variable is refused. Variables that
  Kubernetes makes for a service called elsegrid (\`ELSEGRID_SERVICE_HOST\`, \`ELSEGRID_PORT=tcp://...\`) are left
  alone.
- **Command line**: \`elsegrid start --help\` lists the flags; \`--set limits.logBytes=536870912\` sets any option.
- **Wrong options** are refused, all at once, each with its path, the reason, the nearest right name or value and
  where it was given.
- **Editors**: \`elsegrid config schema > elsegrid.schema.json\`, or [config.schema.json](config.schema.json).
- **Structures** are configured by name or pattern, in which \`*\` stands for any text. For a name, the row that
  fits most specifically counts, and it alone: the exact name; else the pattern with the most literal characters;
  else the first of them. Rows do not inherit from each other: what a row leaves out has the default of the
  table, and the preset (\`consistency\`) that of the grid. The key \`default\` (or \`*\`) is for names that nothing
  else fits.
- **The cluster's rows win.** Structure options belong to the cluster: a member that joins with other options for
  the same name or pattern logs a warning with the paths and takes the cluster's; rows that the cluster does not
  have are added.
`;

/** The whole reference page, Markdown. */
export function configMarkdown(): string {
  const tree = optionTree(memberSchema);
  const byName = new Set([PROTECTION_KEY, NEAR_CACHES_KEY, ...STRUCTURES.map(({ configKey }) => configKey)]);
  const ground = new Map([...tree.fields].filter(([name]) => !byName.has(name)));
  const sections = STRUCTURES.map(({ configKey, service }) => {
    return rowsSection(
      configKey,
      `Options of each \`${service}\`, as \`${configKey}.<name or pattern>.<option>\`.`,
      tree,
    );
  });
  return `${HEAD}
## Options

${table(optionRows({ ...tree, fields: ground }, tree))}

## Timings

A preset gives the values that are not set one by one.

| preset | heartbeatMs | suspicionMs | leaseMs |
|---|---|---|---|
${Object.entries(TIMING_PRESETS)
  .map(([name, timings]) => {
    return `| \`${name}\` | ${timings.heartbeatMs} | ${timings.suspicionMs} | ${timings.leaseMs} |`;
  })
  .join('\n')}

${rowsSection(PROTECTION_KEY, PROTECTIONS, tree)}
${rowsSection(NEAR_CACHES_KEY, NEAR_CACHES, tree)}
${sections.join('\n')}`;
}

const PROTECTIONS = `Definitions by name, as \`${PROTECTION_KEY}.<name>.<option>\`; structures refer to one with their option
\`splitBrainProtection\`. [consistency.md](consistency.md) says what they guard against.`;

const NEAR_CACHES = `Near caches of the embedded API of this member, as \`${NEAR_CACHES_KEY}.<name or pattern of a map>.<option>\`; clients
have the same option. [consistency.md](consistency.md#near-caches) says what they promise.`;

function rowsSection(configKey: string, intro: string, tree: OptionNode): string {
  const node = tree.fields.get(configKey)?.row;
  const rows =
    node === undefined ? [] : leaves(node).map(({ path, node: leaf }) => row(path, leaf, undefined));
  return `## ${configKey}

${intro}

${table(rows)}
`;
}

function optionRows(group: OptionNode, tree: OptionNode): string[] {
  const environment = new Set(environmentPaths(tree).keys());
  return [...group.fields].flatMap(([name, field]) => {
    const own = field.choices.length > 0 && field.type === 'group' ? [{ path: [name], node: field }] : [];
    return [...own, ...leaves(field, [name])].map(({ path, node }) => {
      const variable = environmentName(path);
      return row(path, node, environment.has(variable) ? variable : undefined);
    });
  });
}

function row(path: readonly string[], node: OptionNode, variable: string | undefined): string {
  const standard = node.default === undefined ? '' : `\`${JSON.stringify(node.default)}\``;
  const environment = variable === undefined ? '' : `<br>\`${variable}\``;
  return `| \`${pathText(path)}\`${environment} | ${cell(typeText(node))} | ${standard} | ${cell(node.doc)} |`;
}

function table(rows: readonly string[]): string {
  return `| option | type | default | meaning |\n|---|---|---|---|\n${rows.join('\n')}`;
}

/** For example `integer, 0 to 65535`. */
export function typeText(node: OptionNode): string {
  const choices = node.choices.map((choice) => String(choice)).join(', ');
  if (node.type === 'choice') return choices;
  if (node.type === 'group') return `${choices}, or the options below`;
  if (node.type === 'list') return 'list of texts';
  if (node.type === 'text') return 'text';
  const { min, max } = node;
  const range =
    min !== undefined && max !== undefined ? `, ${min} to ${max}` : min !== undefined ? `, from ${min}` : '';
  return `${node.type}${range}`;
}

/** Bars end a cell and angle brackets begin HTML. */
function cell(text: string): string {
  return text.replaceAll('\n', ' ').replaceAll('|', '\\|').replaceAll('<', '&lt;');
}
