// A provider that repeats the key it was sent, in every place where an answer can say something.

import { once } from 'node:events';
import { createServer } from 'node:http';

const json = (status, body, headers = {}) => ({ status, headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) });
const stream = (...events) => ({
  status: 200,
  headers: { 'content-type': 'text/event-stream' },
  body: events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join(''),
});
const piece = (content) => ({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm', choices: [{ index: 0, delta: { content } }] });

// Each makes an answer of the key. `filler` fills up to where long texts are cut.
export const kTattles = {
  'in the message of an error': (key) => json(401, { error: { message: `Incorrect API key provided: ${key}.`, type: 'invalid_request_error', code: null } }),
  'in the code and type of an error': (key) => json(400, { error: { message: 'Wrong.', type: key, code: key, status: key } }),
  'in the details of an error': (key) => json(422, { detail: [{ loc: ['header', key], msg: `bad ${key}` }], message: key }),
  'in an error that is a sentence': (key) => json(500, { error: `no ${key}` }),
  'in a page': (key) => ({ status: 502, headers: { 'content-type': 'text/html' }, body: `<html><b>${key}</b></html>` }),
  'where a page is cut': (key) => ({ status: 502, headers: {}, body: `${' '.repeat(200 - Math.floor(key.length / 2))}${key}` }),
  'where a message is cut': (key) => json(400, { error: { message: `${'x '.repeat(500 - Math.floor(key.length / 4))}${key}`, code: 'long' } }),
  'in a header': (key) => json(429, { error: { message: 'Slow down.' } }, { 'x-key': key, 'retry-after': key, 'x-ratelimit-reset-requests': key }),
  'in a redirection': (key) => ({ status: 302, headers: { location: `http://127.0.0.1:1/?key=${key}` }, body: '' }),
  'in an answer that is no JSON': (key) => ({ status: 200, headers: { 'content-type': 'application/json' }, body: `{"id": ${key}` }),
  'in an error with status 200': (key) => json(200, { error: { message: `bad ${key}`, type: key, code: key } }),
  'in a stream’s error': (key) => stream({ error: { message: `bad ${key}`, type: key, code: key } }),
  'in a stream’s error in the middle': (key) => stream(piece('a'), { error: { message: `bad ${key}`, code: key }, type: 'error' }),
  'in a stream’s event that is no JSON': (key) => ({ status: 200, headers: { 'content-type': 'text/event-stream' }, body: `data: {"a": ${key}\n\n` }),
};

export class Tattler {
  #server;
  // What it says, one of kTattles' functions; and the keys it was sent.
  tattle = undefined;
  keys = new Set();

  static async start() {
    const tattler = new Tattler();
    tattler.#server = createServer((request, response) => tattler.#serve(request, response));
    tattler.#server.listen(0, '127.0.0.1');
    await once(tattler.#server, 'listening');
    return tattler;
  }

  get origin() {
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  async stop() {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #serve(request, response) {
    request.resume();
    await once(request, 'end');
    const { headers } = request;
    const key =
      headers.authorization?.replace(/^Bearer /, '') ??
      headers['x-api-key'] ??
      headers['x-goog-api-key'] ??
      new URL(request.url, this.origin).searchParams.get('key');
    this.keys.add(key);
    const { status, headers: said, body } = this.tattle(key);
    response.writeHead(status, said).end(body);
  }
}
