/** The registry: each error has one number and one code, and comes back from the wire as itself. */
import { describe, expect, it } from 'vitest';
import * as errors from '../../src/base/errors.js';
import { ERROR_ROWS, type ErrorName, errorFromWire, errorRow, GridError } from '../../src/base/errors.js';

const ROWS = Object.entries(ERROR_ROWS) as [ErrorName, errors.ErrorRow][];

describe('the errors', () => {
  it('have numbers and codes of their own, and say what to do', () => {
    expect(new Set(ROWS.map(([, row]) => row.wire)).size).toBe(ROWS.length);
    expect(new Set(ROWS.map(([, row]) => row.code)).size).toBe(ROWS.length);
    for (const [name, row] of ROWS) {
      expect(row.code, name).toMatch(/^ERR_[A-Z_]+$/);
      expect(row.doc.length, name).toBeGreaterThan(20);
    }
  });

  it('are never both of unknown outcome and to be sent again as if nothing had happened', () => {
    for (const [name, row] of ROWS) expect(row.retryable && !row.definite, name).toBe(false);
  });

  it.each(ROWS)('%s comes back from the wire with its code and its promises', (_name, row) => {
    const error = errorFromWire(row.wire, 'why');
    expect(error).toBeInstanceOf(GridError);
    expect(error).toMatchObject({
      code: row.code,
      definite: row.definite,
      retryable: row.retryable,
      message: 'why',
    });
    expect(errorRow(row.wire)).toBe(row);
  });

  it('of a number that is not known are protocol errors', () => {
    expect(errorFromWire(9_999, 'odd')).toBeInstanceOf(errors.ProtocolError);
    expect(errorFromWire(9_999, 'odd').message).toContain('9999');
    expect(errorRow(9_999)).toBeUndefined();
  });

  it('carry the name of their class and their cause', () => {
    const cause = new Error('below');
    const error = new errors.OverloadError('full', { cause });
    expect([error.name, error.cause]).toEqual(['OverloadError', cause]);
    expect(new errors.ConfigError('maps.x', 'is odd').message).toBe('maps.x: is odd');
    expect(new errors.ConfigError('', 'is odd').message).toBe('is odd');
  });

  it('of bulk calls list what was done, refused and unknown, and point to the first cause', () => {
    const refused = { key: 'a', error: new errors.OverloadError('full') };
    const unknown = { key: 'b', error: new Error('lost') };
    const error = new errors.BulkError('some', ['c'], [refused], [unknown]);
    expect([error.done, error.refused, error.indeterminate, error.cause]).toEqual([
      ['c'],
      [refused],
      [unknown],
      unknown.error,
    ]);
  });

  it('of unknown outcome ask again when they are told to', async () => {
    const error = new errors.IndeterminateError('maybe', () =>
      Promise.resolve({ outcome: 'done', reply: 4 }),
    );
    expect(error.definite).toBe(false);
    expect(await error.resolve()).toEqual({ outcome: 'done', reply: 4 });
  });
});
