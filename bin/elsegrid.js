#!/usr/bin/env node
// The command `elsegrid`: hands over to the compiled src/cli/main.ts, or says what is missing.
import { existsSync } from 'node:fs';

const main = new URL('../dist/src/cli/main.js', import.meta.url);
if (existsSync(main)) {
  await import(main.href);
} else {
  console.error('elsegrid: the compiled program (dist/src/cli/main.js) is missing; run npm run build');
  process.exitCode = 1;
}
