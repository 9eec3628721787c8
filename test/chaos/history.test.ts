import { describe, expect, it } from 'vitest';
import { formatHistory, type HistoryOperation, parseHistory } from '../../chaos/checker/history.js';

const LINE = '{"c":0,"k":"x","f":"cas","from":0,"to":1,"call":12,"ret":20,"type":"ok","out":true}';

describe('history.jsonl', () => {
  it('reads back what was written', () => {
    const history: HistoryOperation[] = [
      { c: 0, k: 'x', f: 'write', v: { name: 'a', list: [1, null] }, call: 1, ret: 2, type: 'ok' },
      { c: 1, k: 'x\n"', f: 'read', call: 1.5, ret: 3, type: 'ok', out: null },
      { c: 1, k: 'x', f: 'cas', from: null, to: 1, call: 4, ret: null, type: 'info' },
      { c: 2, k: 'y', f: 'write', v: 1, call: 4, ret: 5, type: 'fail' },
    ];
    const text = formatHistory(history);
    expect(text.split('\n')).toHaveLength(5);
    expect(parseHistory(text)).toEqual(history);
  });

  it('writes a bigint as digits', () => {
    const text = formatHistory([{ c: 0, k: 'n', f: 'get', call: 1, ret: 2, type: 'ok', out: 2n ** 60n }]);
    expect(parseHistory(text)[0]!.out).toBe('1152921504606846976');
  });

  it('skips empty lines', () => {
    expect(parseHistory(`${LINE}\n\n${LINE}\n`)).toHaveLength(2);
  });

  it.each([
    ['{"c":0', 'history line 2'],
    ['7', 'not an object'],
    [LINE.replace('"c":0', '"c":"a"'), 'c (client)'],
    [LINE.replace('"k":"x"', '"k":1'), 'k (key)'],
    [LINE.replace('"f":"cas"', '"f":null'), 'f (operation)'],
    [LINE.replace('"type":"ok"', '"type":"okay"'), 'type is not'],
    [LINE.replace('"call":12', '"call":"12"'), 'call is not'],
    [LINE.replace('"ret":20', '"ret":null'), 'ret of an ok operation'],
    [LINE.replace('"ret":20', '"ret":11'), 'ret is before call'],
    [LINE.replace('"type":"ok"', '"type":"info"'), 'ret of an info operation'],
    [LINE.replace('"out"', '"output"'), 'unknown field "output"'],
  ])('refuses %s and says where', (line, complaint) => {
    expect(() => parseHistory(`${LINE}\n${line}\n`)).toThrow(complaint);
    expect(() => parseHistory(`${LINE}\n${line}\n`)).toThrow('history line 2');
  });
});
