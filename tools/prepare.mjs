// Builds after `npm install` in a checkout; skips with a message where TypeScript is not installed
// (NODE_ENV=production, or installation as a dependency from a package that already carries dist).
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
let tsc;
try {
  tsc = require.resolve('typescript/bin/tsc');
} catch {
  console.log(
    'elsegrid: TypeScript is not installed, so dist/ was not built. Run npm install with dev dependencies, then npm run build.',
  );
  process.exit(0);
}
if (!existsSync(new URL('../tsconfig.build.json', import.meta.url))) process.exit(0);
const built = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], {
  cwd: new URL('..', import.meta.url),
  stdio: 'inherit',
});
process.exit(built.status ?? 1);
