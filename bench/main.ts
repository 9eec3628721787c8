/**
 * `npm run bench`: starts the systems and a client process, each a process of its own on free ports, lets the client
 * measure them in turn, and prints a table and, on demand, JSON. Progress goes to stderr, results to stdout.
 */
import { accessSync, constants, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, release } from 'node:os';
import { delimiter, join } from 'node:path';
import { type Addresses, type FromClient, type Sample, SYSTEMS, type Task } from './cells.js';
import { Children } from './children.js';
import { type BenchOptions, parseOptions, USAGE, UsageError } from './options.js';
import { type Row, rowsOf, tableOf } from './report.js';
import type { MemberTask } from './server-member.js';

const MEMBERS = 3;

const say = (text: string) => process.stderr.write(`${text}\n`);

interface Started {
  readonly addresses: Addresses;
  readonly redisVersion: string | null;
}

async function startServers(options: BenchOptions, children: Children): Promise<Started> {
  const wants = (name: string) => options.systems.some((system) => system.startsWith(name));
  const member = (task: MemberTask) => children.start<{ address: string }>('server-member', task);
  const addresses: { -readonly [K in keyof Addresses]: Addresses[K] } = {};
  let redisVersion: string | null = null;
  if (options.systems.includes('member'))
    addresses.member = (await member({ clusterName: 'bench-1', join: [], syncBackups: 0 })).address;
  if (options.systems.includes('members')) {
    const members: string[] = [];
    for (let i = 0; i < MEMBERS; i++)
      members.push((await member({ clusterName: 'bench-3', join: members, syncBackups: 1 })).address);
    addresses.members = members;
  }
  if (wants('redis')) {
    const { port, version } = await children.start<{ port: number; version: string }>('server-redis', {});
    addresses.redisPort = port;
    redisVersion = version;
  }
  if (wants('echo')) addresses.echo = (await children.start<{ address: string }>('server-echo', {})).address;
  return { addresses, redisVersion };
}

/** Runs the client process; resolves with all samples. */
function runClient(task: Task, children: Children): Promise<Sample[]> {
  const samples: Sample[] = [];
  return new Promise((resolve, reject) => {
    const onMessage = (message: FromClient) => {
      if (message.type === 'progress') say(message.text);
      else if (message.type === 'sample') samples.push(message.sample);
      else if (message.type === 'done') resolve(samples);
    };
    children.start<FromClient>('client-process', task, onMessage, reject).catch(reject);
  });
}

function withoutRedis(options: BenchOptions): BenchOptions {
  const wanted = options.systems.some((system) => system.startsWith('redis'));
  if (!wanted || isInstalled('redis-server')) return options;
  say('redis-server is not installed, so its rows and the ratios are left out.');
  say('On Debian, install it with: apt-get update && apt-get install -y redis-server');
  return { ...options, systems: options.systems.filter((system) => !system.startsWith('redis')) };
}

function isInstalled(program: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function print(options: BenchOptions, started: Started, rows: readonly Row[]): void {
  const machine = {
    processor: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    system: `${process.platform} ${release()}`,
    node: process.version,
    redis: started.redisVersion,
  };
  const { rounds, seconds, systems } = options;
  console.log(
    `${machine.cores} cores (${machine.processor}), Node.js ${machine.node}, Redis ${machine.redis ?? '-'}`,
  );
  console.log(`medians of ${rounds} rounds of ${seconds} s; ratios are those within a round\n`);
  console.log(tableOf(rows));
  console.log('');
  for (const { name, label, note } of SYSTEMS) if (systems.includes(name)) console.log(`${label}: ${note}`);
  if (options.jsonFile === null) return;
  writeFileSync(options.jsonFile, `${JSON.stringify({ machine, rounds, seconds, rows }, null, 2)}\n`);
  say(`results as JSON: ${options.jsonFile}`);
}

async function bench(given: BenchOptions, children: Children): Promise<void> {
  const options = withoutRedis(given);
  say('starting the systems');
  const started = await startServers(options, children);
  const { systems, cells, rounds, seconds, warmUpSeconds } = options;
  const task = { systems, addresses: started.addresses, cells, rounds, seconds, warmUpSeconds };
  const samples = await runClient(task, children);
  print(options, started, rowsOf(samples));
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options === null) {
    console.log(USAGE);
    return;
  }
  const children = new Children(options.profileFolder);
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)
    process.once(signal, () => {
      void children.end().then(() => process.exit(code));
    });
  try {
    await bench(options, children);
  } finally {
    await children.end();
  }
}

main().catch((error: unknown) => {
  say(
    error instanceof UsageError
      ? `bench: ${error.message}\n\n${USAGE}`
      : String((error as Error).stack ?? error),
  );
  process.exitCode = error instanceof UsageError ? 2 : 1;
});
