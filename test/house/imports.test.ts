/**
 * The import check is itself checked: a small tree with one planted violation of each rule is read, and each
 * must be reported. A check that cannot fail is worth nothing, and this one has failed silently before.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const project = fileURLToPath(new URL('../..', import.meta.url));
const trees: string[] = [];
afterAll(() => {
  for (const tree of trees) rmSync(tree, { recursive: true, force: true });
});

function check(files: Record<string, string>): { status: number | null; output: string } {
  const tree = mkdtempSync(join(tmpdir(), 'elsegrid-imports-'));
  trees.push(tree);
  symlinkSync(join(project, 'node_modules'), join(tree, 'node_modules'));
  writeFileSync(
    join(tree, 'package.json'),
    '{"type":"module","dependencies":{"ws":"*","pino":"*"},"devDependencies":{"ioredis":"*"}}',
  );
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(tree, file)), { recursive: true });
    writeFileSync(join(tree, file), text);
  }
  const run = spawnSync(process.execPath, [join(project, 'tools/check-imports.mjs'), '--root', tree], {
    encoding: 'utf8',
  });
  return { status: run.status, output: run.stdout + run.stderr };
}

/** A tree that keeps all rules: a chain from base to a door, and enough files to be believed. */
function tidyTree(): Record<string, string> {
  const files: Record<string, string> = {
    'src/base/ids.ts': 'export const ids = 1;\n',
    'src/wire/frame.ts': "import { ids } from '../base/ids.js';\nexport const frame = ids;\n",
    'src/cluster/view.ts': "import { frame } from '../wire/frame.js';\nexport const view = frame;\n",
    'src/policy/preset.ts': "import { view } from '../cluster/view.js';\nexport const preset = view;\n",
    'partitions/table.ts':
      "import { preset } from '../src/policy/preset.js';\nexport const table = preset;\n",
    'partitions/services/map/ops.ts':
      "import { table } from '../../table.js';\nexport const mapOps = table;\n",
    'partitions/services/queue/ops.ts':
      "import { table } from '../../table.js';\nexport const queueOps = table;\n",
    'replication/primary.ts':
      "import { table } from '../partitions/table.js';\nexport const primary = table;\n",
    'nearcache/cache.ts': "import { table } from '../partitions/table.js';\nexport const cache = table;\n",
    'src/protocol.ts':
      "import { mapOps } from '../partitions/services/map/ops.js';\nimport { queueOps } from '../partitions/services/queue/ops.js';\nexport const all = [mapOps, queueOps];\n",
    'client/core/calls.ts':
      "import { cache } from '../../nearcache/cache.js';\nexport const calls = cache;\n",
    'client/client.ts': "import { calls } from './core/calls.js';\nexport const client = calls;\n",
    'src/member/member.ts':
      "import { calls } from '../../client/core/calls.js';\nimport { primary } from '../../replication/primary.js';\nimport { all } from '../protocol.js';\nexport const member = [calls, primary, all];\n",
    'src/platform/transport.ts':
      "import { createHash } from 'node:crypto';\nimport { performance } from 'node:perf_hooks';\nimport { pino } from 'pino';\nimport { WebSocket } from 'ws';\nexport const transport = [createHash, performance, pino, WebSocket];\n",
    'client/index.ts':
      "import { transport } from '../src/platform/transport.js';\nimport { client } from './client.js';\nexport const connect = [client, transport];\n",
    'src/index.ts':
      "import { connect } from '../client/index.js';\nimport { member } from './member/member.js';\nexport const doors = [connect, member];\n",
    'chaos/run.ts': "import { member } from '../src/member/member.js';\nexport const run = member;\n",
    'src/cli/main.ts':
      "import { run } from '../../chaos/run.js';\nimport { doors } from '../index.js';\nexport const main = [run, doors];\n",
  };
  for (let index = 0; index < 8; index++) {
    files[`test/house/filler-${index}.test.ts`] =
      "import { doors } from '../../src/index.js';\nvoid doors;\n";
  }
  return files;
}

/** File, its text, and what the report must say about it. */
const PLANTED: readonly (readonly [rule: string, file: string, text: string])[] = [
  ['layer-base', 'src/base/up.ts', "import { frame } from '../wire/frame.js';\nexport const up = frame;\n"],
  [
    'layer-wire',
    'src/wire/up.ts',
    "import type { view } from '../cluster/view.js';\nexport type Up = typeof view;\n",
  ],
  [
    'layer-cluster',
    'src/cluster/up.ts',
    "import { preset } from '../policy/preset.js';\nexport const up = preset;\n",
  ],
  [
    'layer-policy',
    'src/policy/up.ts',
    "import { table } from '../../partitions/table.js';\nexport const up = table;\n",
  ],
  [
    'layer-partitions',
    'partitions/up.ts',
    "import { primary } from '../replication/primary.js';\nexport const up = primary;\n",
  ],
  [
    'layer-replication',
    'replication/side.ts',
    "import { cache } from '../nearcache/cache.js';\nexport const side = cache;\n",
  ],
  [
    'layer-nearcache',
    'nearcache/side.ts',
    "import { primary } from '../replication/primary.js';\nexport const side = primary;\n",
  ],
  [
    'layer-client-core',
    'client/core/up.ts',
    "import { client } from '../client.js';\nexport const up = client;\n",
  ],
  [
    'layer-client',
    'client/platform.ts',
    "import { transport } from '../src/platform/transport.js';\nexport const up = transport;\n",
  ],
  [
    'layer-client-door',
    'client/index.ts',
    "import { member } from '../src/member/member.js';\nexport const up = member;\n",
  ],
  [
    'layer-member',
    'src/member/up.ts',
    "import { client } from '../../client/client.js';\nexport const up = client;\n",
  ],
  [
    'layer-member',
    'src/member/platform.ts',
    "import { transport } from '../platform/transport.js';\nexport const up = transport;\n",
  ],
  [
    'layer-platform',
    'src/platform/up.ts',
    "import { frame } from '../wire/frame.js';\nexport const up = frame;\n",
  ],
  [
    'layer-protocol',
    'src/protocol.ts',
    "import { table } from '../partitions/table.js';\nexport const up = table;\n",
  ],
  [
    'layer-config',
    'src/config.ts',
    "import { member } from './member/member.js';\nexport const up = member;\n",
  ],
  ['layer-doors', 'src/testing.ts', "import { run } from '../chaos/run.js';\nexport const up = run;\n"],
  [
    'layer-chaos',
    'chaos/platform.ts',
    "import { transport } from '../src/platform/transport.js';\nexport const up = transport;\n",
  ],
  ['layer-cli', 'src/cli/up.ts', "import '../../test/house/filler-0.test.js';\n"],
  [
    'services-apart',
    'partitions/services/map/state.ts',
    "import { queueOps } from '../queue/ops.js';\nexport const up = queueOps;\n",
  ],
  ['ports-only', 'src/member/socket.ts', "import { WebSocket } from 'ws';\nexport const up = WebSocket;\n"],
  ['ports-only', 'client/log.ts', "import { pino } from 'pino';\nexport const up = pino;\n"],
  [
    'ports-only',
    'chaos/time.ts',
    "import { performance } from 'node:perf_hooks';\nexport const up = performance;\n",
  ],
  ['ports-only', 'src/cli/net.ts', "import type { Socket } from 'node:net';\nexport type Up = Socket;\n"],
  [
    'core-without-node',
    'replication/file.ts',
    "import { readFileSync } from 'node:fs';\nexport const up = readFileSync;\n",
  ],
  ['core-without-node', 'src/wire/bytes.ts', "import { Buffer } from 'buffer';\nexport const up = Buffer;\n"],
  ['no-orphans', 'partitions/orphan.ts', 'export const orphan = 1;\n'],
  ['no-unresolved', 'client/missing.ts', "import { gone } from './gone.js';\nexport const up = gone;\n"],
  [
    'declared-packages',
    'src/member/redis.ts',
    "import { Redis } from 'ioredis';\nexport const up = Redis;\n",
  ],
  ['belongs to no layer', 'src/stray.ts', "import { ids } from './base/ids.js';\nexport const up = ids;\n"],
];

describe('the import check', () => {
  let planted = '';
  let plantedStatus: number | null = null;

  beforeAll(() => {
    const files = tidyTree();
    for (const [, file, text] of PLANTED)
      files[file] = text + (files[file] ?? '').replaceAll(' up ', ' old ');
    files['partitions/left.ts'] =
      "import { right } from './right.js';\nexport const left = (): unknown => right;\n";
    files['partitions/right.ts'] =
      "import type { left } from './left.js';\nexport const right = 1 as unknown as typeof left;\n";
    const run = check(files);
    planted = run.output;
    plantedStatus = run.status;
  });

  it('finds nothing in a tree that keeps the rules', () => {
    const run = check(tidyTree());
    expect(run.output).toContain('imports: no violation');
    expect(run.output).toContain('read 26 modules');
    expect(run.status).toBe(0);
  });

  it('fails on a tree with planted violations', () => {
    expect(plantedStatus).toBe(1);
    expect(planted).toMatch(/imports: \d+ problems/);
  });

  it.each(PLANTED)('reports the planted violation of %s in %s', (rule, file) => {
    const lines = planted.split('\n').filter((line) => line.includes('error') && line.includes(rule));
    expect(lines.some((line) => line.includes(`${file} `))).toBe(true);
  });

  it('reports a planted cycle, though one of its imports is of a type only', () => {
    expect(planted).toMatch(/no-cycles: partitions\/left\.ts -> .*partitions\/right\.ts/);
  });

  it('warns of a file that no door reaches', () => {
    expect(planted).toContain('reached-from-a-door: partitions/orphan.ts');
  });

  it('fails when it read nothing, or too little to prove anything', () => {
    const nothing = check({});
    expect(nothing.status).toBe(1);
    expect(nothing.output).toContain('only 0 modules were read');
    const little = check({
      'src/base/ids.ts': 'export const ids = 1;\n',
      'src/wire/frame.ts': "import { ids } from '../base/ids.js';\nexport const frame = ids;\n",
    });
    expect(little.status).toBe(1);
    expect(little.output).toContain('only 2 modules were read');
  });
});
