/** Someone on the network who does not keep to the protocol: raw sockets, and WebSockets that say what they like. */
import { connect as connectSocket } from 'node:net';
import { WebSocket } from 'ws';
import { Writer } from '../../../src/base/bytes.js';
import { beginMessage, endMessage, NO_PARTITION } from '../../../src/wire/frame.js';
import type { MessageDef } from '../../../src/wire/message.js';
import { hello, refusal, welcome } from '../../../src/wire/messages.js';

export const NOWHERE = { partition: NO_PARTITION, view: 0, lineage: 0, client: 0, sequence: 0 } as const;

/** One message as the only one of a frame. */
export function frameOf<T>(def: MessageDef<T>, body: T): Buffer {
  const writer = new Writer();
  const at = beginMessage(writer, def.id, NOWHERE);
  def.write(writer, body);
  endMessage(writer, at);
  return writer.toBytes();
}

export const HELLO = {
  clusterName: 'dev',
  versionMin: 1,
  versionMax: 1,
  role: 'client',
  id: '00000000-0000-4000-8000-000000000001',
  address: '',
  partitionCount: 0,
  singleMember: false,
} as const;

export interface RawAnswer {
  /** Numbers of the messages that came back, of the first message of each frame. */
  readonly messages: readonly number[];
  /** Text of a refusal. */
  readonly refusal: string | null;
  readonly code: number;
  readonly reason: string;
}

/** Sends frames over a WebSocket and resolves when the other side has closed it. */
export function sendFrames(address: string, frames: readonly (Buffer | string)[]): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://${address}/`);
    const messages: number[] = [];
    let refused: string | null = null;
    socket.on('error', () => {});
    socket.on('open', () => {
      for (const frame of frames) socket.send(frame);
    });
    socket.on('message', (data: Buffer) => {
      messages.push(data.readUInt16LE(4));
      if (data.readUInt16LE(4) === refusal.id) refused = data.toString('utf8', 32 + 2 + 4);
    });
    const tooLate = setTimeout(() => {
      socket.terminate();
      reject(new Error('the other side kept the connection'));
    }, 8_000);
    socket.on('close', (code, reason) => {
      clearTimeout(tooLate);
      resolve({ messages, refusal: refused, code, reason: reason.toString() });
    });
  });
}

/** Sends bytes over TCP and resolves with what comes back until the other side closes. */
export function sendBytes(address: string, bytes: string | Buffer): Promise<string> {
  const [host, port] = address.split(':');
  return new Promise((resolve, reject) => {
    const socket = connectSocket(Number(port), host);
    const parts: Buffer[] = [];
    socket.on('connect', () => socket.write(bytes));
    socket.on('data', (part) => parts.push(part));
    socket.on('error', () => {});
    socket.setTimeout(12_000, () => {
      socket.destroy();
      reject(new Error('the other side kept the connection'));
    });
    socket.on('close', () => resolve(Buffer.concat(parts).toString('latin1')));
  });
}

export const WELCOME = welcome.id;
export const HELLO_FRAME = frameOf(hello, HELLO);
