// A provider that answers with recordings, over real HTTP, and remembers what it was asked.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { answerText, fixture } from './fixtures.mjs';

// Recordings are cut in pieces of this many bytes: in the middle of lines, of numbers, of UTF-8 characters.
const kPieceBytes = 37;

// One answer to come. `arrived` resolves with the request when it is there; `closed` when the gateway hung up
// before the answer was complete; release() lets an answer that waits go on.
class PlannedAnswer {
  constructor(plan) {
    Object.assign(this, { status: undefined, headers: {}, waitsAfterEvents: undefined, waits: false }, plan);
    this.arrived = new Promise((resolve) => (this.arrive = resolve));
    this.closed = new Promise((resolve) => (this.close = resolve));
    this.released = new Promise((resolve) => (this.release = resolve));
  }

  recording() {
    const { response } = fixture(this.fixture);
    const headers = { ...response.headers, ...this.headers };
    delete headers['content-length'];
    delete headers['content-encoding'];
    delete headers['transfer-encoding'];
    return { status: this.status ?? response.status, headers, text: answerText({ response }) };
  }
}

export class Replay {
  #server;
  #planned = [];
  #standing = null;
  requests = [];
  unplanned = [];
  // What was asked by GET, which costs nothing, and by path how that is answered: 200 where nothing is said.
  checks = [];
  checkAnswers = new Map();

  static async start() {
    const replay = new Replay();
    replay.#server = createServer((request, response) => replay.#serve(request, response));
    replay.#server.listen(0, '127.0.0.1');
    await once(replay.#server, 'listening');
    return replay;
  }

  get origin() {
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  // Where OpenAI's API would be.
  get baseUrl() {
    return `${this.origin}/v1`;
  }

  // The next request is answered with this recording. Options: status, headers; waits: nothing is sent before
  // release(); waitsAfterEvents: a stream stops after so many events until release(); cutAfterEvents,
  // cutAfterBytes: the connection breaks there.
  next(name, options = {}) {
    const answer = new PlannedAnswer({ fixture: name, ...options });
    this.#planned.push(answer);
    return answer;
  }

  // Requests beyond the planned ones are answered with this recording, or, with null, are mistakes.
  always(name) {
    this.#standing = name;
  }

  async stop() {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #serve(request, response) {
    const body = [];
    request.on('error', () => {});
    response.on('error', () => {});
    try {
      for await (const piece of request) body.push(piece);
    } catch {
      return; // hung up while it asked
    }
    if (request.method === 'GET') return this.#check(request, response);
    const asked = {
      method: request.method,
      path: request.url,
      headers: request.headers,
      body: JSON.parse(Buffer.concat(body).toString('utf8')),
    };
    const answer = this.#planned.shift() ?? (this.#standing && new PlannedAnswer({ fixture: this.#standing }));
    if (!answer) {
      this.unplanned.push(asked);
      response.writeHead(599).end();
      return;
    }
    this.requests.push(asked);
    response.on('close', () => {
      if (!response.writableFinished) answer.close();
    });
    answer.arrive(asked);
    await this.#answer(answer, response);
  }

  #check({ url: path, headers }, response) {
    this.checks.push({ path, headers });
    const { status, body } = this.checkAnswers.get(path) ?? { status: 200, body: { data: [] } };
    if (status === 0) response.destroy();
    else response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  }

  async #answer(answer, response) {
    const { status, headers, text } = answer.recording();
    if (answer.waits) await answer.released;
    if (response.destroyed) return;
    response.writeHead(status, headers);
    const head =
      answer.cutAfterBytes === undefined
        ? eventsUpTo(text, answer.waitsAfterEvents ?? answer.cutAfterEvents)
        : text.slice(0, answer.cutAfterBytes);
    await writeInPieces(response, head);
    if (answer.cutAfterEvents !== undefined || answer.cutAfterBytes !== undefined) {
      response.destroy();
      return;
    }
    if (answer.waitsAfterEvents !== undefined) await answer.released;
    await writeInPieces(response, text.slice(head.length));
    response.end();
  }
}

// The first `count` events of an SSE text, or all of it.
function eventsUpTo(text, count) {
  if (count === undefined) return text;
  return text
    .split(/(?<=\n\n)/)
    .slice(0, count)
    .join('');
}

async function writeInPieces(response, text) {
  const bytes = Buffer.from(text, 'utf8');
  for (let start = 0; start < bytes.length && !response.destroyed; start += kPieceBytes) {
    response.write(bytes.subarray(start, start + kPieceBytes));
    await new Promise(setImmediate);
  }
}
