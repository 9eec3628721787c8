/** Orders and answers come over the network: what has another form is a protocol error. */
import { describe, expect, it } from 'vitest';
import { ProtocolError } from '../../src/base/errors.js';
import { readAdminCommand, readAdminReply } from '../../src/policy/admin.js';

describe('an order', () => {
  it.each([
    { kind: 'found' },
    { kind: 'recover', dead: ['11111111-1111-4111-8111-111111111111', '10.0.0.1:5701'] },
    { kind: 'acceptLoss', partitions: [] },
    { kind: 'acceptLoss', partitions: [0, 19_999] },
  ])('%j is read from JSON', (command) => {
    expect(readAdminCommand(JSON.stringify(command))).toEqual(command);
  });

  it.each([
    ['{', 'an order that is not JSON'],
    ['null', 'wrong form'],
    ['{"kind":"stop"}', 'wrong kind'],
    ['{"kind":"recover"}', 'wrong dead'],
    ['{"kind":"recover","dead":[]}', 'wrong dead'],
    ['{"kind":"found","dead":[]}', 'wrong form'],
    ['{"kind":"acceptLoss","partitions":[20000]}', 'wrong partitions.0'],
    ['{"kind":"acceptLoss","partitions":[1.5]}', 'wrong partitions.0'],
    [JSON.stringify({ kind: 'recover', dead: Array.from({ length: 1_001 }, String) }), 'wrong dead'],
  ])('%s is refused: %s', (json, message) => {
    expect(() => readAdminCommand(json)).toThrow(ProtocolError);
    expect(() => readAdminCommand(json)).toThrow(message);
  });
});

describe('an answer', () => {
  it('is read from JSON, also without details', () => {
    expect(readAdminReply('{"ok":true,"text":"done"}')).toEqual({ ok: true, text: 'done', details: {} });
    const reply = { ok: false, text: 'no', details: { heard: ['a'] } };
    expect(readAdminReply(JSON.stringify(reply))).toEqual(reply);
  });

  it.each([
    ['[', 'an answer to an order that is not JSON'],
    ['{"text":"done"}', 'wrong ok'],
    ['{"ok":true,"text":"done","details":[]}', 'wrong details'],
  ])('%s is refused: %s', (json, message) => {
    expect(() => readAdminReply(json)).toThrow(ProtocolError);
    expect(() => readAdminReply(json)).toThrow(message);
  });
});
