/** What the tests of configuration share: the error of a call that must be refused. */
import { expect } from 'vitest';
import { ConfigError } from '../../src/base/errors.js';

/** The `ConfigError` that the call throws; its message without more is what a user reads. */
export function configErrorOf(call: () => unknown): ConfigError {
  let thrown: unknown;
  try {
    call();
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(ConfigError);
  return thrown as ConfigError;
}
