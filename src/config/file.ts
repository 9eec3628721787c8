/**
 * Reads a configuration file, YAML or JSON (which YAML contains), and knows for each option at which line it is.
 */
import { readFileSync } from 'node:fs';
import { isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import { ConfigError } from '../base/errors.js';

export interface ConfigFile {
  /** A group of options; not checked yet. */
  readonly options: Record<string, unknown>;
  /** `grid.yaml:3:5` for the option at the path, or the nearest group around it that is in the file. */
  place(path: readonly PropertyKey[]): string | undefined;
}

/** Throws a `ConfigError` that names the file and, for a wrong form, line and column. */
export function readConfigFile(file: string): ConfigFile {
  return parseConfigText(file, readText(file));
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === 'ENOENT' ? 'there is no such file' : code === 'EISDIR' ? 'is a folder' : message;
    throw new ConfigError('', `configuration file ${file}: ${reason}`);
  }
}

/** `file` is only the name for messages. */
export function parseConfigText(file: string, text: string): ConfigFile {
  const lines = new LineCounter();
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: 'silent' });
  const [error] = document.errors;
  if (error !== undefined) throw new ConfigError('', `${at(error.pos[0])}: ${error.message}`);
  const options: unknown = toPlain(document, file);
  if (options === null || options === undefined) return { options: {}, place: () => undefined };
  if (typeof options !== 'object' || Array.isArray(options)) {
    throw new ConfigError(
      '',
      `${at(0)}: expected options by name (port: 5701), not a single value or a list`,
    );
  }
  return {
    options: options as Record<string, unknown>,
    place(path) {
      const offset = offsetOf(document.contents, path);
      return offset === undefined ? undefined : at(offset);
    },
  };
}

function toPlain(document: ReturnType<typeof parseDocument>, file: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    throw new ConfigError('', `${file}: ${(error as Error).message}`);
  }
}

/** Where the key at the path begins, as deep as the file goes. */
function offsetOf(root: unknown, path: readonly PropertyKey[]): number | undefined {
  let node = root;
  let offset: number | undefined;
  for (const key of path) {
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(key));
      if (pair === undefined) break;
      offset = isScalar(pair.key) ? pair.key.range?.[0] : undefined;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(key)];
      if (isScalar(node)) offset = node.range?.[0];
    } else {
      break;
    }
  }
  return offset;
}
