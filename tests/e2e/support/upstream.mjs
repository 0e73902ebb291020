// A provider that answers every call alike, counts them, and can be told to fail. Speaks OpenAI's chat, streamed or not.

import { once } from 'node:events';
import { createServer } from 'node:http';

const kWords = ['Ten', ' calls', ' and', ' no', ' more'];

// What each answer says it used, of which the completion is what the request allowed.
const kPromptTokens = 7;

export class Upstream {
  #server;
  #faults = () => null;
  // By the text of the last message: how often it was asked, how often it has answered, and who got a fault.
  asked = new Map();
  answered = new Map();
  failed = new Set();
  delayMs = 0;

  static async start({ delayMs = 0 } = {}) {
    const upstream = new Upstream();
    upstream.delayMs = delayMs;
    upstream.#server = createServer({ keepAliveTimeout: 60000 }, (request, response) => upstream.#serve(request, response));
    upstream.#server.listen({ port: 0, host: '127.0.0.1', backlog: 1024 });
    await once(upstream.#server, 'listening');
    return upstream;
  }

  get baseUrl() {
    return `http://127.0.0.1:${this.#server.address().port}/v1`;
  }

  get calls() {
    return [...this.asked.values()].reduce((sum, count) => sum + count, 0);
  }

  // `choose` is called for each call and names its fault: reset, stall (until the caller leaves), error (a 500), cut (a
  // stream or body that breaks off); null for none.
  failBy(choose) {
    this.#faults = choose;
  }

  // Breaks every connection that is open.
  breakAll() {
    this.#server.closeAllConnections();
  }

  forget() {
    this.asked.clear();
    this.answered.clear();
    this.failed.clear();
  }

  async stop() {
    this.breakAll();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #serve(request, response) {
    const pieces = [];
    response.on('error', () => {});
    try {
      for await (const piece of request) pieces.push(piece);
    } catch {
      return; // hung up while it asked
    }
    const body = JSON.parse(Buffer.concat(pieces).toString('utf8'));
    const text = textOf(body);
    this.asked.set(text, (this.asked.get(text) ?? 0) + 1);
    const fault = this.#faults();
    if (fault !== null) this.failed.add(text);
    if (fault === 'stall') return;
    if (fault === 'reset') {
      request.socket.resetAndDestroy();
      return;
    }
    if (this.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, this.delayMs));
    if (response.destroyed) return;
    response.on('finish', () => this.answered.set(text, (this.answered.get(text) ?? 0) + 1));
    if (fault === 'error') sendJson(response, 500, { error: { message: 'It broke.', type: 'server_error', code: null } });
    else if (body.stream) sendStream(response, body, fault === 'cut');
    else if (fault === 'cut') response.writeHead(200, { 'content-length': 1000 }).write('{"id":', () => response.destroy());
    else sendJson(response, 200, completion(body));
  }
}

function textOf(body) {
  const { content } = body.messages.at(-1);
  return typeof content === 'string' ? content : content.map((part) => part.text).join('');
}

function usageOf(body) {
  const completion = body.max_completion_tokens ?? body.max_tokens;
  return { prompt_tokens: kPromptTokens, completion_tokens: completion, total_tokens: kPromptTokens + completion };
}

function sendJson(response, status, body) {
  const text = JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

function completion(body) {
  const message = { role: 'assistant', content: kWords.join('') };
  const choices = [{ index: 0, message, finish_reason: 'stop' }];
  return { id: 'chatcmpl-1', object: 'chat.completion', created: 1, model: body.model, choices, usage: usageOf(body) };
}

function sendStream(response, body, breaksOff) {
  const frame = { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: body.model };
  const events = kWords.map((content) => ({ ...frame, choices: [{ index: 0, delta: { content }, finish_reason: null }] }));
  events.push({ ...frame, choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] });
  events.push({ ...frame, choices: [], usage: usageOf(body) });
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const texts = events.map((event) => `data: ${JSON.stringify(event)}\n\n`);
  if (breaksOff) response.write(texts.slice(0, 3).join(''), () => response.destroy());
  else response.end(`${texts.join('')}data: [DONE]\n\n`);
}
