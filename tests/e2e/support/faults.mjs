// A provider that misbehaves on the wire, in one way at a time.

import { once } from 'node:events';
import net from 'node:net';

const kJson = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n';
const kSse = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n';
const kHugeBytes = 10 * 1024 * 1024;

const chunk = (text) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
const piece = (content) => `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"gpt-5-nano","choices":[{"index":0,"delta":{"content":"${content}"},"finish_reason":null}]}\n\n`;

// Each writes its answer; `stream` is what the request asked for.
export const kFaults = {
  'never answers': () => {},
  'begins, and says nothing more': (socket, stream) =>
    socket.write(`${stream ? kSse : kJson}transfer-encoding: chunked\r\n\r\n${stream ? chunk(piece('Hello')) : chunk('{"id":')}`),
  'resets the connection': (socket, stream) => {
    socket.write(`${stream ? kSse : kJson}transfer-encoding: chunked\r\n\r\n${stream ? chunk(piece('Hello')) : chunk('{"id":')}`, () =>
      setImmediate(() => socket.resetAndDestroy()),
    );
  },
  'ends in the middle of a chunk': (socket, stream) =>
    socket.end(`${stream ? kSse : kJson}transfer-encoding: chunked\r\n\r\nfff\r\n${stream ? piece('Hello') : '{"id":'}`),
  'says another length': (socket, stream) =>
    socket.end(`${stream ? kSse : kJson}content-length: 5000\r\n\r\n${stream ? piece('Hello') : '{"id":'}`),
  'says an error with status 200': (socket, stream) => {
    const error = '{"error":{"message":"It broke.","type":"server_error","code":null}}';
    const body = stream ? `data: ${error}\n\n` : error;
    socket.end(`${stream ? kSse : kJson}content-length: ${body.length}\r\n\r\n${body}`);
  },
  'says what is no HTTP': (socket) => socket.end(Buffer.from([0, 255, 1, 254, 13, 10, 7, 13, 10, 13, 10])),
  'says garbage in its body': (socket, stream) => {
    const body = Buffer.from(Array.from({ length: 3000 }, (_, i) => (i * 7919) % 256));
    socket.write(`${stream ? kSse : kJson}content-length: ${body.length}\r\n\r\n`);
    socket.end(body);
  },
  'says one line of 10 MB': (socket, stream) => {
    socket.write(`${stream ? kSse : kJson}connection: close\r\n\r\n${stream ? 'data: ' : '{"id":"'}`);
    socket.end(Buffer.alloc(kHugeBytes, 'a'));
  },
};

export class FaultServer {
  #server;
  #sockets = new Set();
  fault = undefined;

  static async start() {
    const faults = new FaultServer();
    faults.#server = net.createServer((socket) => faults.#serve(socket));
    faults.#server.listen(0, '127.0.0.1');
    await once(faults.#server, 'listening');
    return faults;
  }

  get baseUrl() {
    return `http://127.0.0.1:${this.#server.address().port}/v1`;
  }

  async stop() {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  // Answers once the body has come.
  #serve(socket) {
    let asked = '';
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      asked += bytes.toString('latin1');
      const end = asked.indexOf('\r\n\r\n');
      const length = Number(/content-length: (\d+)/i.exec(asked)?.[1] ?? 0);
      if (end < 0 || asked.length < end + 4 + length) return;
      const body = asked.slice(end + 4);
      asked = '';
      kFaults[this.fault](socket, JSON.parse(body).stream === true);
    });
  }
}
