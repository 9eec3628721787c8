/**
 * Where a split takes place: members and clients as processes that reach each other through something that can come
 * apart. `ProxyWorld` is one machine with proxies between its processes; `netns.ts` has another one.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import ts from 'typescript';
import { LinkProxies, type Place } from '../../demo/link-proxies.js';
import type { Transpiled } from '../real/support/transpiled.js';

export interface World extends AsyncDisposable {
  /** Where a member has to listen. Members are asked for in their order, before any is started. */
  place(member: string): Promise<Place>;
  /** Starts a process there, with a channel for messages. `name` is a member's or a client's. */
  spawn(name: string, script: URL): Promise<ChildProcess>;
  /** Separates two groups of members and clients from each other. Clients that are not named reach both. */
  split(minority: readonly string[], majority: readonly string[]): Promise<void>;
  heal(): Promise<void>;
}

export class ProxyWorld implements World {
  readonly #proxies = new LinkProxies();
  readonly #members = new Set<string>();
  readonly #how: 'cut' | 'hold';
  #sides: readonly [readonly string[], readonly string[]] = [[], []];

  /** `cut`: connections between the sides are reset; `hold`: they stand still and nobody is told. */
  constructor(how: 'cut' | 'hold') {
    this.#how = how;
  }

  async place(member: string): Promise<Place> {
    this.#members.add(member);
    return this.#proxies.add(member);
  }

  spawn(name: string, script: URL): Promise<ChildProcess> {
    if (!this.#members.has(name)) this.#proxies.nameClients(name);
    return Promise.resolve(fork(script, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }));
  }

  split(minority: readonly string[], majority: readonly string[]): Promise<void> {
    this.#sides = [minority, majority];
    this.#proxies.between(minority, majority, this.#how);
    return Promise.resolve();
  }

  heal(): Promise<void> {
    this.#proxies.between(...this.#sides, 'pass');
    return Promise.resolve();
  }

  /** Clients that connect from now on are in this process, and reach everybody. */
  nameObserver(): void {
    this.#proxies.nameClients('observer');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#proxies[Symbol.asyncDispose]();
  }
}

/** Puts the writer among the sources that run as processes. */
export function transpileWriter(sources: Transpiled): URL {
  const text = readFileSync(new URL('split-writer.ts', import.meta.url), 'utf8');
  const { outputText } = ts.transpileModule(text, {
    compilerOptions: {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.ESNext,
      verbatimModuleSyntax: true,
    },
  });
  mkdirSync(new URL('test/system/', sources.url), { recursive: true });
  const url = new URL('test/system/split-writer.js', sources.url);
  writeFileSync(url, outputText);
  return url;
}
