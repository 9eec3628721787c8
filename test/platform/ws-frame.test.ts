import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as ws from 'ws';
import { JOINED_BYTES, joinedFrame } from '../../src/platform/ws-frame.js';

interface FrameOptions {
  fin: boolean;
  opcode: number;
  rsv1: boolean;
  readOnly: boolean;
  mask: boolean;
  generateMask: (mask: Buffer) => void;
}

/** What ws itself makes of a binary payload. */
function frameOfWs(payload: Buffer, mask: boolean): Buffer {
  const { Sender } = ws as unknown as { Sender: { frame(data: Buffer, options: FrameOptions): Buffer[] } };
  const generateMask = (bytes: Buffer) => bytes.fill(0);
  return Buffer.concat(
    Sender.frame(payload, { fin: true, opcode: 2, rsv1: false, readOnly: true, mask, generateMask }),
  );
}

describe('a joined frame', () => {
  it.each([0, 1, 125, 126, 127, 255, 256, 1000, JOINED_BYTES])('of %i bytes is what ws sends', (size) => {
    const payload = Buffer.alloc(size, 0x5a);
    for (const masked of [false, true])
      expect(joinedFrame(payload, masked).equals(frameOfWs(payload, masked))).toBe(true);
  });

  it('is what ws sends for any payload', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (payload, masked) => {
        const bytes = Buffer.from(payload);
        expect(joinedFrame(bytes, masked).equals(frameOfWs(bytes, masked))).toBe(true);
      }),
    );
  });
});
