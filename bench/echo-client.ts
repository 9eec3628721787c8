/** The client of the bare WebSocket server: frames of messages, one promise a call, and nothing else. */
import { Reader, Writer } from '../src/base/bytes.js';
import type { Connection } from '../src/base/ports.js';
import { WsTransport } from '../src/platform/ws-transport.js';
import { beginMessage, endMessage, HEADER_BYTES, Header } from '../src/wire/frame.js';
import { ECHO_BATCH_BYTES } from './cells.js';
import type { Driver } from './driver.js';

const GET = 1;
const SET = 2;

export class EchoClient implements Driver {
  readonly #open = new Map<number, () => void>();
  readonly #values = new Map<string, Buffer>();
  readonly #out = new Writer(64 * 1024);
  readonly #header = new Header();
  readonly #largestValueBytes: number;
  #connection: Connection | null = null;
  #next = 1;
  #queued = false;

  constructor(largestValueBytes: number) {
    this.#largestValueBytes = largestValueBytes;
  }

  static connect(address: string, largestValueBytes: number): Promise<EchoClient> {
    const client = new EchoClient(largestValueBytes);
    return new Promise((resolve, reject) => {
      client.#connection = new WsTransport().dial(address, {
        opened: () => resolve(client),
        frame: (bytes) => client.#frame(bytes),
        drained() {},
        closed: ({ reason }) => reject(new Error(`echo: ${reason}`)),
      });
    });
  }

  /** The server keeps nothing: the answer has the right size, and what is in it comes from here. */
  get(key: string): Promise<Uint8Array | null> {
    const value = this.#values.get(key);
    return this.#call(GET, key, null, value?.length ?? 0, value ?? null);
  }

  set(key: string, value: Buffer): Promise<unknown> {
    if (!this.#values.has(key)) this.#values.set(key, value);
    return this.#call(SET, key, value, 0, null);
  }

  #call(
    message: number,
    key: string,
    value: Buffer | null,
    answerBytes: number,
    answer: Uint8Array | null,
  ): Promise<Uint8Array | null> {
    return new Promise((resolve) => {
      const sequence = this.#next++;
      this.#open.set(sequence, () => resolve(answer));
      const out = this.#out;
      const at = beginMessage(out, message, {
        partition: 0,
        view: answerBytes,
        lineage: 0,
        client: 1,
        sequence,
      });
      out.string(key);
      if (value !== null) out.bytes(value);
      endMessage(out, at);
      if (out.length >= ECHO_BATCH_BYTES) this.#flush();
      if (this.#queued) return;
      this.#queued = true;
      setImmediate(() => {
        this.#queued = false;
        if (out.length > 0) this.#flush();
      });
    });
  }

  #flush(): void {
    this.#connection?.send(this.#out.toBytes());
    this.#out.reset();
  }

  #frame(bytes: Uint8Array): void {
    const reader = new Reader(bytes);
    const header = this.#header;
    while (reader.offset < bytes.length) {
      const start = reader.offset;
      header.read(reader);
      if (header.length > HEADER_BYTES + this.#largestValueBytes) throw new Error('echo: a wrong answer');
      const settle = this.#open.get(header.sequence);
      this.#open.delete(header.sequence);
      settle?.();
      reader.offset = start + header.length;
    }
  }

  async close(): Promise<void> {
    this.#connection?.close(1000, 'done');
  }
}
