/**
 * The TypeScript in README.md and docs: blocks that open with ```ts run are run and type-checked, those with
 * ```ts check are type-checked, and the rest must at least be TypeScript. What a snippet says in a comment behind a
 * `console.log` is what it has to print.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';

export interface Snippet {
  /** File and line of its first line, for messages. */
  readonly at: string;
  readonly kind: 'run' | 'check' | 'parse';
  readonly code: string;
}

/** The pages that a user reads, relative to the project. */
export function pages(project: string): string[] {
  const docs = readdirSync(join(project, 'docs')).filter((file) => file.endsWith('.md'));
  return ['README.md', ...docs.sort().map((file) => `docs/${file}`)];
}

export function snippetsOf(project: string, page: string): Snippet[] {
  const text = readFileSync(join(project, page), 'utf8');
  return [...text.matchAll(/^```ts([^\n]*)\n([\s\S]*?)^```$/gm)].map(
    ({ 1: info = '', 2: code = '', index }) => {
      const line = text.slice(0, index).split('\n').length + 1;
      return { at: `${page}:${line}`, kind: kindOf(info.trim(), code), code };
    },
  );
}

function kindOf(info: string, code: string): Snippet['kind'] {
  if (info === 'run' || code.startsWith('// run\n')) return 'run';
  if (info === 'check') return 'check';
  if (info === '') return 'parse';
  throw new Error(`a block of TypeScript is marked with ${info}; run and check are known`);
}

/** What the comments behind `console.log` promise, a line each. */
export function promisedOutput(code: string): string[] {
  return [...code.matchAll(/console\.log\(.*\);[^\S\n]*\/\/ (.+)$/gm)].map(([, text = '']) => text.trim());
}

/** Errors of the snippets in the project's own settings, with the package's name leading to the sources. */
export function typeErrors(project: string, snippets: readonly Snippet[]): string[] {
  const { config } = ts.readConfigFile(join(project, 'tsconfig.json'), ts.sys.readFile);
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, project);
  Object.assign(options, {
    noEmit: true,
    noUnusedLocals: false,
    paths: {
      elsegrid: [join(project, 'src/index.ts')],
      'elsegrid/testing': [join(project, 'src/testing.ts')],
    },
  } satisfies ts.CompilerOptions);
  const files = new Map(
    snippets.map((snippet, i) => [join(project, 'test/readme', `snippet-${i}.ts`), snippet]),
  );
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists, readFile } = host;
  host.fileExists = (file) => files.has(file) || fileExists(file);
  host.readFile = (file) => files.get(file)?.code ?? readFile(file);
  host.getSourceFile = (file, ...rest) => {
    const code = files.get(file)?.code;
    // An empty export makes each of them a module of its own.
    if (code === undefined) return getSourceFile.call(host, file, ...rest);
    return ts.createSourceFile(file, `${code}\nexport {};\n`, rest[0]);
  };
  const program = ts.createProgram([...files.keys()], options, host);
  return [...files].flatMap(([file, snippet]) => {
    const source = program.getSourceFile(file);
    const found: ts.Diagnostic[] = [...program.getSyntacticDiagnostics(source)];
    if (snippet.kind !== 'parse') found.push(...program.getSemanticDiagnostics(source));
    return found.map(
      ({ messageText }) => `${snippet.at}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`,
    );
  });
}

/** The snippet as JavaScript that uses the sources at `root` and these ports in place of those it names. */
export function runnable(code: string, root: URL, freePorts: readonly number[]): string {
  const named = [...new Set(code.match(/\b5[67]\d\d\b/g) ?? [])];
  if (named.length > freePorts.length) throw new Error('the snippet names more ports than were found free');
  const ported = code.replaceAll(/\b5[67]\d\d\b/g, (port) => String(freePorts[named.indexOf(port)]));
  const { outputText } = ts.transpileModule(ported, {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
  });
  return outputText
    .replaceAll(/from 'elsegrid\/testing'/g, `from '${new URL('src/testing.js', root).href}'`)
    .replaceAll(/from 'elsegrid'/g, `from '${new URL('src/index.js', root).href}'`);
}
