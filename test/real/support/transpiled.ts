/**
 * The sources as JavaScript in a folder of their own, for tests that start real processes: Node 20 runs no
 * TypeScript, and `dist` may be older than the sources. One folder for each test file; removed with `remove`.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import ts from 'typescript';

const project = fileURLToPath(new URL('../../..', import.meta.url));
const FOLDERS = ['src', 'partitions', 'replication', 'nearcache', 'listeners', 'client', 'demo', 'bench'];

export interface Transpiled {
  /** Of the folder, with a slash at its end. */
  readonly url: URL;
  remove(): void;
}

/** Inside `node_modules`, so that packages are found and no tool of the project reads it. */
export function transpileSources(): Transpiled {
  const cache = join(project, 'node_modules', '.cache');
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'elsegrid-'));
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }\n');
  for (const file of FOLDERS.flatMap(sourcesBelow)) {
    const target = join(folder, file.replace(/\.ts$/, '.js'));
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, toJavaScript(readFileSync(join(project, file), 'utf8')));
  }
  const url = pathToFileURL(`${folder}/`);
  return { url, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

function sourcesBelow(folder: string): string[] {
  try {
    return readdirSync(join(project, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts'))
      .map((file) => join(folder, file));
  } catch {
    return [];
  }
}

function toJavaScript(text: string): string {
  const { outputText } = ts.transpileModule(text, {
    compilerOptions: {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.ESNext,
      verbatimModuleSyntax: true,
    },
  });
  return outputText;
}
