/**
 * `npm run generate` writes the pages that are made from the code; with `--check` (`npm run generated`) it
 * writes nothing and fails when a page is not what the code says. `--root <dir>` works on another tree.
 * The sources are compiled into a folder of its own, so neither `dist` nor a build is needed.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import ts from 'typescript';

const { values } = parseArgs({ options: { check: { type: 'boolean' }, root: { type: 'string' } } });
const root = resolve(values.root ?? fileURLToPath(new URL('..', import.meta.url)));

/** Each page: where it goes, the module that it is made from, and how. A module that is not there is left out. */
const PAGES = [
  {
    file: 'docs/errors.md',
    from: 'src/base/errors.ts',
    make: async (load) => errorsPage((await load('src/base/errors.ts')).ERROR_ROWS),
  },
  {
    file: 'src/wire/PROTOCOL.md',
    from: 'src/protocol.ts',
    make: async (load) =>
      protocolPage((await load('src/wire/version.ts')).PROTOCOL_VERSION, await load('src/protocol.ts')),
  },
  {
    file: 'docs/configuration.md',
    from: 'src/config/describe.ts',
    make: async (load) => (await load('src/config/describe.ts')).configMarkdown(),
  },
  {
    file: 'docs/config.schema.json',
    from: 'src/config/describe.ts',
    make: async (load) => (await load('src/config/describe.ts')).configSchemaText(),
  },
];

const compiled = makeCompiledFolder();
let stale = 0;
try {
  for (const page of PAGES.filter(({ from }) => existsSync(join(root, from)))) {
    const wanted = await page.make((file) => load(file));
    const target = join(root, page.file);
    const present = existsSync(target) ? readFileSync(target, 'utf8') : undefined;
    if (present === wanted) {
      console.log(`generated: ${page.file} is up to date`);
    } else if (values.check) {
      stale++;
      console.log(
        `generated: ${page.file} ${present === undefined ? 'is missing' : firstDifference(present, wanted)}`,
      );
    } else {
      mkdirSync(dirname(target), { recursive: true });
      writeFileSync(target, wanted);
      console.log(`generated: wrote ${page.file}`);
    }
  }
} finally {
  rmSync(compiled, { recursive: true, force: true });
}
if (stale > 0) console.log('generated: run npm run generate and commit the result');
process.exitCode = stale > 0 ? 1 : 0;

/** It lies in node_modules, so that packages are found from it and nothing reads it as a source. */
function makeCompiledFolder() {
  const cache = join(root, 'node_modules', '.cache');
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'elsegrid-generate-'));
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  return folder;
}

function load(file) {
  compile(join(root, file), new Set());
  return import(pathToFileURL(join(compiled, jsName(file))).href);
}

/** Compiles a module and what it imports, types unchecked: that is the work of `npm run types`. */
function compile(path, seen) {
  if (seen.has(path)) return;
  seen.add(path);
  const output = join(compiled, jsName(relative(root, path)));
  const compilerOptions = {
    module: ts.ModuleKind.ESNext,
    target: ts.ScriptTarget.ES2023,
    verbatimModuleSyntax: true,
  };
  const { outputText } = ts.transpileModule(readFileSync(path, 'utf8'), { compilerOptions, fileName: path });
  mkdirSync(dirname(output), { recursive: true });
  writeFileSync(output, outputText);
  for (const { fileName } of ts.preProcessFile(outputText).importedFiles) {
    if (fileName.startsWith('.')) compile(resolve(dirname(path), fileName.replace(/\.js$/, '.ts')), seen);
  }
}

function jsName(file) {
  return file.replace(/\.ts$/, '.js');
}

function firstDifference(present, wanted) {
  const old = present.split('\n');
  const line = wanted.split('\n').findIndex((text, index) => text !== old[index]);
  const at = line === -1 ? wanted.split('\n').length : line;
  return `differs from the code at line ${at + 1}: it says ${JSON.stringify(old[at] ?? '(nothing)')}, the code ${JSON.stringify(wanted.split('\n')[at] ?? '(nothing)')}`;
}

function errorsPage(rows) {
  const lines = Object.values(rows)
    .sort((a, b) => a.wire - b.wire)
    .map(
      (row) => `| \`${row.code}\` | ${yesNo(row.definite)} | ${yesNo(row.retryable)} | ${cell(row.doc)} |`,
    );
  return `<!-- Made from src/base/errors.ts by npm run generate; do not edit. -->

# Errors

Every error that elsegrid reports is a \`GridError\` with a \`code\` of this table.

- **definite**: the call had no effect and will have none. An error that is not definite leaves it open
  whether the call took, or will take, effect.
- **retryable**: the same call may be sent again; clients do so by themselves within the call's deadline.

| code | definite | retryable | what it means and what to do |
|---|---|---|---|
${lines.join('\n')}
`;
}

function protocolPage(version, { MESSAGES: messages, HEADER = [], CALL_PREFIX = [] }) {
  const sorted = [...messages].sort((a, b) => a.id - b.id);
  const overview = sorted.map(
    ({ id, name, doc }) => `| ${id} | [${name}](#${anchor(name)}) | ${cell(doc)} |`,
  );
  return `<!-- Made from src/protocol.ts by npm run generate; do not edit. -->

# Messages of the protocol, version ${version}

A frame is a batch of messages; integers are little endian. A message is a header and a body.

${fieldTable('Header of every message', HEADER)}
${fieldTable('Before the request of every operation (messages from 4096 on)', CALL_PREFIX)}
## Overview

| id | message | what it is for |
|---|---|---|
${overview.join('\n')}

${sorted.map(messageSection).join('\n')}`;
}

function fieldTable(title, fields) {
  const rows = fields.map(([name, type, doc]) => `| \`${name}\` | ${cell(type)} | ${cell(doc)} |`);
  return `## ${title}\n\n| field | type | meaning |\n|---|---|---|\n${rows.join('\n')}\n`;
}

function messageSection({ id, name, doc, fields }) {
  const rows = fields.map(
    (field) => `| \`${field.name}\` | ${cell(field.type)} | ${cell(field.doc ?? '')} |`,
  );
  const table =
    rows.length === 0 ? 'No fields.' : `| field | type | meaning |\n|---|---|---|\n${rows.join('\n')}`;
  return `## ${name}\n\nMessage ${id}. ${doc}\n\n${table}\n`;
}

function yesNo(value) {
  return value ? 'yes' : 'no';
}

/** Bars end a cell and angle brackets begin HTML. */
function cell(text) {
  return text.replaceAll('\n', ' ').replaceAll('|', '\\|').replaceAll('<', '&lt;');
}

function anchor(name) {
  return name
    .toLowerCase()
    .replace(/[^a-z0-9 _-]/g, '')
    .replaceAll(' ', '-');
}
