/**
 * The bare WebSocket server that the grid is compared with: the same transport, frames and headers, and nothing
 * behind them. It answers each message with one of the size that a member's answer would have.
 */
import { Reader, Writer } from '../src/base/bytes.js';
import { WsTransport } from '../src/platform/ws-transport.js';
import { beginMessage, endMessage, Header } from '../src/wire/frame.js';
import { ECHO_BATCH_BYTES } from './cells.js';
import { liveWithParent, run, tell } from './child.js';

liveWithParent();
run(async () => {
  const transport = new WsTransport();
  const listener = await transport.listen({
    host: '127.0.0.1',
    port: 0,
    accept: (connection) => {
      const header = new Header();
      const out = new Writer(64 * 1024);
      let queued = false;
      const flush = () => {
        connection.send(out.toBytes());
        out.reset();
      };
      const flushLater = () => {
        queued = false;
        if (out.length > 0) flush();
      };
      return {
        opened() {},
        drained() {},
        closed() {},
        frame(bytes) {
          const reader = new Reader(bytes);
          while (reader.offset < bytes.length) {
            const start = reader.offset;
            header.read(reader);
            // The view field carries the size of the answer's body.
            const at = beginMessage(out, header.message, header);
            out.ensure(header.view);
            out.length += header.view;
            endMessage(out, at);
            if (out.length >= ECHO_BATCH_BYTES) flush();
            reader.offset = start + header.length;
          }
          if (queued) return;
          queued = true;
          setImmediate(flushLater);
        },
      };
    },
  });
  tell({ address: `127.0.0.1:${listener.port}` });
});
