/** What is published about the options says what the code says. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { configJsonSchema, configMarkdown, configSchemaText } from '../../src/config/describe.js';
import { environmentPaths } from '../../src/config/environment.js';
import { parseConfigText } from '../../src/config/file.js';
import { loadConfig } from '../../src/config/load.js';
import { leaves, optionTree, pathText } from '../../src/config/tree.js';
import { memberConfig, memberSchema } from '../../src/config.js';

const page = (name: string) =>
  readFileSync(fileURLToPath(new URL(`../../docs/${name}`, import.meta.url)), 'utf8');

describe('the reference page', () => {
  it('is the one that the code makes', () => {
    expect(page('configuration.md')).toBe(configMarkdown());
  });

  it('has every option, with a meaning', () => {
    for (const { path, node } of leaves(optionTree(memberSchema))) {
      expect(configMarkdown()).toContain(`| \`${pathText(path[1] === '*' ? path.slice(2) : path)}\``);
      expect(`${pathText(path)}: ${node.doc}`).toMatch(/: .{20,}/);
    }
  });

  it('opens with an example that is right', () => {
    const yaml = /```yaml\n([\s\S]*?)```/.exec(configMarkdown())?.[1] ?? '';
    const { options } = parseConfigText('example', yaml);
    expect(memberConfig(options)).toMatchObject({
      clusterName: 'shop',
      maps: { sessions: { minSynced: 1 } },
    });
  });
});

describe('the schema file', () => {
  it('is the one that the code makes', () => {
    expect(page('config.schema.json')).toBe(configSchemaText());
    expect(JSON.parse(configSchemaText())).toEqual(configJsonSchema());
  });

  it('refuses unknown options and requires none', () => {
    const schema = configJsonSchema();
    expect(schema).toMatchObject({ type: 'object', additionalProperties: false });
    expect(schema.required).toBeUndefined();
    expect(Object.keys(schema.properties as object)).toEqual([...optionTree(memberSchema).fields.keys()]);
  });
});

describe('the names of environment variables', () => {
  it('are all different, and each one sets its option', () => {
    const paths = environmentPaths(optionTree(memberSchema));
    expect(paths.size).toBeGreaterThan(15);
    for (const [name, path] of paths) {
      expect(() => loadConfig({ env: { [name]: '\u0000' } }), `${name} for ${pathText(path)}`).not.toThrow(
        /unknown/,
      );
    }
  });
});
