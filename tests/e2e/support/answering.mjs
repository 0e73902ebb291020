// A provider that speaks OpenAI's chat API and answers with JSON that fits the schema it is asked for, and a webhook.
// Both remember what they were asked.

import { once } from 'node:events';
import { createServer } from 'node:http';

export const kUsage = { prompt: 1000, completion: 300 };

async function listen(serve) {
  const server = createServer(serve);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, origin: `http://127.0.0.1:${server.address().port}` };
}

async function close(server) {
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
}

async function bodyOf(request) {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  return Buffer.concat(pieces).toString('utf8');
}

// The smallest value that fits, each text made of the member's name.
export function fitting(schema, name = 'answer') {
  if (schema.enum) return schema.enum[0];
  const type = [schema.type].flat()[0];
  if (type === 'object')
    return Object.fromEntries(Object.entries(schema.properties).map(([key, value]) => [key, fitting(value, key)]));
  if (type === 'array')
    return Array.from({ length: Math.max(schema.minItems ?? 0, 1) }, (_, i) => fitting(schema.items, `${name} ${i + 1}`));
  if (type === 'integer' || type === 'number') return schema.minimum ?? 0;
  if (type === 'boolean') return true;
  return name.repeat(Math.ceil(Math.max(schema.minLength ?? 1, 1) / name.length));
}

// What is to be done with one request: `content` instead of what fits, a `status` instead of an answer, or nothing before
// release(). `arrived` resolves with the request, `closed` when the caller hung up.
class Plan {
  constructor(options) {
    Object.assign(this, { content: undefined, status: 200, headers: {}, waits: false }, options);
    this.arrived = new Promise((resolve) => (this.arrive = resolve));
    this.closed = new Promise((resolve) => (this.close = resolve));
    this.released = new Promise((resolve) => (this.release = resolve));
  }
}

class Server {
  #plans = [];
  requests = [];

  next(options = {}) {
    const plan = new Plan(options);
    this.#plans.push(plan);
    return plan;
  }

  async begin() {
    const { server, origin } = await listen((request, response) => this.#serve(request, response));
    this.server = server;
    this.origin = origin;
    return this;
  }

  stop() {
    return close(this.server);
  }

  async #serve(request, response) {
    request.on('error', () => {});
    response.on('error', () => {});
    const text = await bodyOf(request);
    const plan = this.#plans.shift() ?? new Plan({});
    const asked = { path: request.url, headers: request.headers, text, body: JSON.parse(text) };
    this.requests.push(asked);
    response.on('close', () => {
      if (!response.writableFinished) plan.close();
    });
    plan.arrive(asked);
    if (plan.waits) await plan.released;
    if (response.destroyed) return;
    response.writeHead(plan.status, { 'content-type': 'application/json', ...plan.headers });
    response.end(plan.status === 200 ? this.answer(asked, plan) : JSON.stringify({ error: { message: 'planned' } }));
  }
}

export class Provider extends Server {
  static start() {
    return new Provider().begin();
  }

  get baseUrl() {
    return `${this.origin}/v1`;
  }

  answer({ body }, { content }) {
    const made = content ?? JSON.stringify(fitting(body.response_format.json_schema.schema));
    return JSON.stringify({
      id: 'chatcmpl-1',
      object: 'chat.completion',
      created: 1700000000,
      model: body.model,
      choices: [{ index: 0, message: { role: 'assistant', content: made }, finish_reason: 'stop' }],
      usage: {
        prompt_tokens: kUsage.prompt,
        completion_tokens: kUsage.completion,
        total_tokens: kUsage.prompt + kUsage.completion,
      },
    });
  }
}

export class WebhookServer extends Server {
  static start() {
    return new WebhookServer().begin();
  }

  answer() {
    return '{}';
  }
}
