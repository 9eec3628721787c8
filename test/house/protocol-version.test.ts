/** What goes over the wire is pinned to the protocol version: one does not change without the other. */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { CALL_PREFIX, HEADER, MESSAGES, type MessageRow } from '../../src/protocol.js';
import { PROTOCOL_VERSION, PROTOCOL_VERSION_MIN, SCHEMA_HASH } from '../../src/wire/version.js';

type Fields = readonly (readonly [name: string, type: string, doc: string])[];

/** Names and types only: what is said about a field is no part of the protocol. */
function schemaHash(header: Fields, prefix: Fields, messages: readonly MessageRow[]): string {
  const schema = {
    header: header.map(([name, type]) => [name, type]),
    prefix: prefix.map(([name, type]) => [name, type]),
    messages: messages.map(({ id, name, fields }) => [
      id,
      name,
      fields.map((field) => [field.name, field.type]),
    ]),
  };
  return createHash('sha256').update(JSON.stringify(schema)).digest('hex').slice(0, 16);
}

/** What is wrong, and what to do; null when all is well. */
function problem(hash: string): string | null {
  if (hash === SCHEMA_HASH) return null;
  return [
    `The messages changed (hash ${hash}, recorded ${SCHEMA_HASH} for version ${PROTOCOL_VERSION}).`,
    'In src/wire/version.ts: when this version was released, raise PROTOCOL_VERSION and add a line that says what',
    `changed (and raise PROTOCOL_VERSION_MIN unless both are spoken); then set SCHEMA_HASH to '${hash}'.`,
    'Run `npm run generate` for the protocol page.',
  ].join('\n');
}

function changed(change: (messages: MessageRow[]) => void): string {
  const messages = structuredClone([...MESSAGES]);
  change(messages);
  return schemaHash(HEADER, CALL_PREFIX, messages);
}

function replace(messages: MessageRow[], name: string, change: (row: MessageRow) => MessageRow): void {
  const at = messages.findIndex((row) => row.name === name);
  messages[at] = change(messages[at] as MessageRow);
}

describe('the protocol version', () => {
  it('is the one that the messages were recorded for', () => {
    expect(problem(schemaHash(HEADER, CALL_PREFIX, MESSAGES))).toBeNull();
  });

  it('speaks itself and nothing that is newer', () => {
    expect(PROTOCOL_VERSION_MIN).toBeLessThanOrEqual(PROTOCOL_VERSION);
    expect(PROTOCOL_VERSION_MIN).toBeGreaterThan(0);
  });

  it.each([
    [
      'a wider field',
      changed((messages) =>
        replace(messages, 'stream', (row) => ({
          ...row,
          fields: row.fields.map((field) => (field.name === 'epoch' ? { ...field, type: 'count' } : field)),
        })),
      ),
    ],
    [
      'a further field',
      changed((messages) =>
        replace(messages, 'map.put', (row) => ({
          ...row,
          fields: [...row.fields, { name: 'x', type: 'u8' }],
        })),
      ),
    ],
    [
      'two fields that changed places',
      changed((messages) =>
        replace(messages, 'hello', (row) => ({ ...row, fields: row.fields.toReversed() })),
      ),
    ],
    ['another number', changed((messages) => replace(messages, 'ping', (row) => ({ ...row, id: 999 })))],
    ['a message less', changed((messages) => void messages.pop())],
    ['a header field more', schemaHash([...HEADER, ['flags', 'u8', '']], CALL_PREFIX, MESSAGES)],
    ['a prefix field less', schemaHash(HEADER, CALL_PREFIX.slice(1), MESSAGES)],
  ])('would not go unnoticed with %s', (_name, hash) => {
    expect(problem(hash)).toMatch(/raise PROTOCOL_VERSION[\s\S]*set SCHEMA_HASH to '[0-9a-f]{16}'/);
  });

  it('does not depend on what is said about messages', () => {
    const hash = changed((messages) =>
      replace(messages, 'ping', (row) => ({ ...row, doc: 'Something else.' })),
    );
    expect(problem(hash)).toBeNull();
  });
});
