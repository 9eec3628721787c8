/**
 * `npm run test:system`: runs the tests of test/system, after it has said what they need and this machine
 * lacks. A missing program fails the run. Tests of something that the machine forbids even root (a container may
 * not make network namespaces) are reported as not run, and why. `--packages` prints the missing Debian packages,
 * one a line, and runs nothing. Further arguments go to vitest.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** What tests need beyond Node: a program, its Debian package, whether as root, and the tests that need it. */
const NEEDS = [
  { program: 'redis-server', package: 'redis-server', root: false, tests: /^(bench|map-?store|redis)/ },
  { program: 'nft', package: 'nftables', root: true, tests: /^(nft|netns|packet)/ },
  { program: 'ip', package: 'iproute2', root: true, tests: /^(nft|netns|packet|split-netns)/ },
  { program: 'chromium', package: 'chromium', root: false, tests: /^(console|browser)/ },
];

/** How `ip` says that the machine forbids or lacks what it was asked for. */
const FORBIDDEN =
  /not permitted|permission denied|not supported|unknown device type|read-only|mount .* failed/i;

/** What a machine can forbid though its program is there and root calls it: returns its words, or undefined. */
const FORBIDS = [{ what: 'network namespaces', tests: /^split-netns/, refusal: namespaceRefusal }];

const folder = join(root, 'test', 'system');
const tests = existsSync(folder)
  ? readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.test.ts'))
  : [];
const needed = NEEDS.filter((need) => tests.some((file) => need.tests.test(file)));
const missing = needed.filter(({ program }) => !isInstalled(program));
const [first, ...rest] = process.argv.slice(2);

if (first === '--packages') {
  for (const name of new Set(missing.map((need) => need.package))) console.log(name);
} else {
  process.exitCode = run(first === undefined ? [] : [first, ...rest]);
}

function run(args) {
  if (tests.length === 0) {
    console.error('system tests: test/system holds no test, so nothing was proved');
    return 1;
  }
  const needRoot = needed.filter((need) => need.root && process.getuid?.() !== 0);
  for (const { program, tests: users } of missing)
    console.error(`system tests: ${program} is missing, needed by ${usersOf(users)}`);
  for (const { program, tests: users } of needRoot)
    console.error(`system tests: ${program} works only as root, needed by ${usersOf(users)}`);
  if (missing.length > 0) {
    const packages = [...new Set(missing.map((need) => need.package))].join(' ');
    console.error(`system tests: on Debian, install with: apt-get update && apt-get install -y ${packages}`);
  }
  if (missing.length + needRoot.length > 0) return 1;
  const excluded = [];
  for (const { what, tests: users, refusal } of FORBIDS) {
    const words = refusal();
    if (words === undefined) continue;
    console.error(`system tests: not run: ${usersOf(users)}; this machine refuses ${what}: ${words}`);
    for (const file of tests) if (users.test(file)) excluded.push('--exclude', `test/system/${file}`);
  }
  const vitest = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url));
  const done = spawnSync(
    process.execPath,
    [vitest, 'run', '--config', 'vitest.system.config.ts', ...excluded, ...args],
    {
      cwd: root,
      stdio: 'inherit',
    },
  );
  return done.status ?? 1;
}

/** Tries what test/system/netns.ts does. Any other failure of `ip` is none of the machine's, and left to the test. */
function namespaceRefusal() {
  const probe = `eg${process.pid}p`;
  const made = [];
  const attempts = [
    [`netns add ${probe}`, `netns del ${probe}`],
    [`link add ${probe}b type bridge`, `link del ${probe}b`],
    // This cable goes with the namespace of its other end.
    [`link add ${probe}c type veth peer name eth0 netns ${probe}`],
    [`-n ${probe} link set lo up`],
    [`netns exec ${probe} true`],
  ];
  try {
    for (const [command, undo] of attempts) {
      const { status, stderr } = ip(command);
      if (status !== 0) return FORBIDDEN.test(stderr) ? `ip ${command}: ${stderr.trim()}` : undefined;
      if (undo !== undefined) made.push(undo);
    }
    return undefined;
  } finally {
    for (const undo of made.reverse()) ip(undo);
  }
}

function ip(command) {
  return spawnSync('ip', command.split(' '), { encoding: 'utf8' });
}

function usersOf(pattern) {
  return tests.filter((file) => pattern.test(file)).join(', ');
}

function isInstalled(program) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin'];
  return folders.some((path) => {
    try {
      accessSync(join(path, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
