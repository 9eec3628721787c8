/** scratch */
import { it } from 'vitest';
import { writeFileSync } from 'node:fs';
import { configJsonSchema, configMarkdown } from '../../src/config/describe.js';
it('x', () => {
  writeFileSync('docs/configuration.md', configMarkdown());
  writeFileSync('docs/config.schema.json', `${JSON.stringify(configJsonSchema(), null, 2)}\n`);
});
