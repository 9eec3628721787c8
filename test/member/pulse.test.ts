/** Which sessions are dead, as one member hears of them. */
import { describe, expect, it } from 'vitest';
import { Pulse } from '../../src/member/pulse.js';

const TIMEOUT_MS = 30_000;
const gone = (pulse: Pulse, nowMs: number, sinceMs = 100) => pulse.isGone(7, sinceMs, 0, nowMs);

describe('a session', () => {
  it('is dead when nothing was heard of it for long, or it has shut down', () => {
    const pulse = new Pulse(TIMEOUT_MS);
    pulse.heard(7, 200, null);
    expect(gone(pulse, 30_000)).toBe(false);
    expect(gone(pulse, 30_201)).toBe(true);
    pulse.ended(7, 300);
    expect(gone(pulse, 301)).toBe(true);
  });

  it('that shut down before anything was heard of it is dead at once', () => {
    const pulse = new Pulse(TIMEOUT_MS);
    pulse.ended(7, 300);
    expect(gone(pulse, 301)).toBe(true);
  });

  it('that shut down does not live again by what comes late', () => {
    const pulse = new Pulse(TIMEOUT_MS);
    pulse.heard(7, 200, null);
    pulse.ended(7, 300);
    pulse.heard(7, 301, null);
    expect(gone(pulse, 302)).toBe(true);
    pulse.look(70_000);
    pulse.heard(7, 70_001, null);
    expect(gone(pulse, 70_002, 70_000)).toBe(false);
  });

  it('of a member that was in no view for a time lives again', () => {
    const pulse = new Pulse(TIMEOUT_MS);
    pulse.heard(7, 200, 'm2' as never);
    pulse.adopted([], 300);
    expect(gone(pulse, 301)).toBe(true);
    pulse.heard(7, 400, 'm2' as never);
    expect(gone(pulse, 401)).toBe(false);
  });
});
