// Load through two gateways on a PostgreSQL of its own, all of which may be stopped or killed under it, and the books of
// what every caller was told.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import http from 'node:http';
import { Database } from './database.mjs';
import { Gateway } from './gateway.mjs';
import { Server } from './server.mjs';
import { Upstream } from './upstream.mjs';

const kModel = 'stormy';
const kPrice = { input: '1.3', output: '2.7' };
const kMaxTokens = 3;
const kGateways = 2;
const kRecoveryMs = 60000; // on a machine that has much else to do
const kBreaker = { 'holdfast.breaker_slow_ms': '120000', 'holdfast.breaker_open_ms': '200', 'holdfast.breaker_trial_patience_ms': '2000' };

// What each front door is asked, and how it says that the answer is whole.
const kDoors = [
  (text) => ['/v1/chat/completions', { model: kModel, max_tokens: kMaxTokens, messages: [{ role: 'user', content: text }] }, /"finish_reason":"stop"/],
  (text) => ['/v1/chat/completions', { model: kModel, max_tokens: kMaxTokens, stream: true, messages: [{ role: 'user', content: text }] }, /data: \[DONE\]\n\n$/],
  (text) => ['/v1/messages', { model: kModel, max_tokens: kMaxTokens, stream: true, messages: [{ role: 'user', content: text }] }, /event: message_stop\n/],
  (text) => ['/api/ai/generate', { prompt: text, model: kModel, provider: 'openai', maxTokens: kMaxTokens }, /"success":true/],
];

// A POST on a connection that is kept for the next, and on one of its own: {status, retryAfter, text}.
async function askKept(url, headers, body) {
  const response = await fetch(url, { method: 'POST', headers, body });
  return { status: response.status, retryAfter: response.headers.get('retry-after'), text: await response.text() };
}

async function askOnce(url, headers, body) {
  const request = http.request(url, { method: 'POST', headers, agent: false });
  request.end(body);
  const [response] = await once(request, 'response');
  const pieces = await response.toArray();
  return { status: response.statusCode, retryAfter: response.headers['retry-after'], text: Buffer.concat(pieces).toString('utf8') };
}

export class Storm {
  #clients = [];
  #working = false;
  #made = 0;
  // By the call's name: {status, whole, gateway, during, retryAfter, text, ms}; status 0 when the connection broke.
  calls = new Map();
  gateways = [];
  // What is being done to the servers; a call remembers it when nothing changed from its beginning to its end.
  phase = 'calm';
  killed = 0;

  static async start({ delayMs = 30, flags = [] } = {}) {
    const storm = new Storm();
    storm.flags = flags;
    storm.server = await Server.start(kBreaker);
    storm.database = await Database.create();
    for (const pool of [storm.database.pool, storm.database.admin]) pool.on('error', () => {});
    await storm.database.price('openai', kModel, kPrice);
    storm.organization = await storm.database.organization();
    storm.upstream = await Upstream.start({ delayMs });
    for (let index = 0; index < kGateways; index++) await storm.startGateway(index);
    return storm;
  }

  async startGateway(index) {
    this.gateways[index] = await Gateway.start({
      database: this.database.conninfo,
      flags: ['--max-retries', '0', '--run-steps', '0', '--drain-timeout-ms', '20000', ...this.flags],
      env: { OPENAI_API_KEY: 'key', OPENAI_BASE_URL: this.upstream.baseUrl },
    });
  }

  // One thing dies at a time: what waited for a database that was away lands before the gateway that kept it dies.
  async #landed(gateway) {
    const deadline = Date.now() + kRecoveryMs;
    for (;;) {
      const metrics = await (await fetch(`${gateway.baseUrl}/metrics`)).text();
      if (/^holdfast_settlements_waiting 0$/m.test(metrics)) return;
      assert.ok(Date.now() < deadline, 'settlements land when the database is back');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  async killGateway(index) {
    const gateway = this.gateways[index];
    await this.#landed(gateway);
    gateway.signal('SIGKILL');
    await gateway.ended;
    this.killed += 1;
    await this.startGateway(index);
  }

  // Stops it as an operator does, and checks that it left nothing behind.
  async stopGateway(index) {
    assert.deepEqual(await this.gateways[index].stop(), { code: 0, signal: null });
    await this.startGateway(index);
  }

  load(clients) {
    this.#working = true;
    this.#clients = Array.from({ length: clients }, async (_, client) => {
      for (let round = client; this.#working; round++) await this.call(round);
    });
  }

  async calm() {
    this.#working = false;
    await Promise.all(this.#clients);
  }

  // Until so many more calls were answered.
  async progress(count) {
    const goal = this.answered.length + count;
    const deadline = Date.now() + kRecoveryMs;
    while (this.answered.length < goal) {
      assert.ok(Date.now() < deadline, `${goal - this.answered.length} of ${count} answers are missing; the last: ${this.#last()}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  #last() {
    return JSON.stringify([...this.calls.values()].slice(-5));
  }

  get answered() {
    return [...this.calls].filter(([, { whole }]) => whole);
  }

  get refused() {
    return [...this.calls].filter(([, { status }]) => status === 503);
  }

  // One call through one of the gateways, and what came of it; `fresh`: on a connection of its own.
  async call(round, { fresh = false } = {}) {
    const name = `call-${this.#made++}`;
    const gateway = this.gateways[round % kGateways];
    const [path, body, isWhole] = kDoors[Math.floor(round / kGateways) % kDoors.length](name);
    const outcome = { status: 0, whole: false, gateway: gateway.pid, during: this.phase };
    const headers = { authorization: `Bearer ${this.organization.key}`, 'content-type': 'application/json', 'x-holdfast-user': name };
    const begun = Date.now();
    try {
      const ask = fresh ? askOnce : askKept;
      const { status, retryAfter, text } = await ask(gateway.baseUrl + path, headers, JSON.stringify(body));
      Object.assign(outcome, { status, retryAfter });
      outcome.whole = status === 200 && isWhole.test(text) && !/"error":/.test(text);
      if (!outcome.whole) outcome.text = text.slice(-300);
    } catch (error) {
      outcome.text = String(error.cause ?? error);
    }
    outcome.ms = Date.now() - begun;
    // What is not there or has no room is asked again a little later.
    if (outcome.status === 0 || outcome.status === 503) await new Promise((resolve) => setTimeout(resolve, 20));
    if (outcome.during !== this.phase) outcome.during = undefined;
    this.calls.set(name, outcome);
    return outcome;
  }

  // Stops PostgreSQL until `calls` more calls were refused and `whileAway` has come to its end: no call that came in
  // this time may have reached the provider.
  async databaseAway(mode, calls, whileAway = async () => {}) {
    await this.server.stop(mode);
    this.phase = `away ${this.calls.size}`;
    const { phase } = this;
    const during = () => [...this.calls].filter(([, call]) => call.during === phase);
    const deadline = Date.now() + kRecoveryMs;
    while (during().filter(([, { status }]) => status === 503).length < calls) {
      assert.ok(Date.now() < deadline, 'calls are refused while the database is away');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await whileAway();
    const refused = during();
    this.phase = 'calm';
    await this.server.startAgain();
    for (const [name, call] of refused) {
      if (call.status !== 0) assert.ok(call.status === 503 && Number(call.retryAfter) > 0, JSON.stringify(call));
      assert.equal(this.upstream.asked.get(name), undefined, 'no call is admitted without the database');
    }
  }

  // A session of a gateway dies; PostgreSQL ends all others and recovers.
  async killSession() {
    const [session] = await this.database.query(
      `SELECT pid FROM pg_stat_activity WHERE usename = 'holdfast_gateway' ORDER BY random() LIMIT 1`,
    );
    if (session) process.kill(session.pid, 'SIGKILL');
  }

  // Nothing of the gateways that live is open any more, or only what was lost with those that were killed.
  async #settled() {
    const deadline = Date.now() + kRecoveryMs;
    for (;;) {
      const open = await this.database.query(`SELECT user_id AS name FROM holdfast.holds WHERE status = 'open'`);
      const left = open.filter(({ name }) => this.killed === 0 || this.calls.get(name).status !== 0);
      if (left.length === 0) return new Set(open.map(({ name }) => name));
      assert.ok(Date.now() < deadline, `open: ${JSON.stringify(left.map(({ name }) => [name, this.calls.get(name)]))}`);
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }

  // Every answered call is in the ledger once, no other twice; what reached the provider is there too, or is an open hold.
  // Returns the figures.
  async verify() {
    await this.calm();
    const open = await this.#settled();
    const rows = await this.database.query(
      `SELECT user_id AS name, count(*)::int AS entries, bool_or(estimated) AS estimated, min(prompt_tokens) AS prompt,
              min(completion_tokens) AS completion FROM holdfast.ai_usage_ledger GROUP BY user_id`,
    );
    const ledger = new Map(rows.map((row) => [row.name, row]));
    const doubled = rows.filter(({ entries }) => entries !== 1);
    const missing = this.answered.filter(([name]) => !ledger.has(name));
    const wrong = this.answered.filter(([name]) => {
      const entry = ledger.get(name);
      return entry && (entry.estimated || entry.prompt !== 7 || entry.completion !== kMaxTokens);
    });
    const vanished = [...this.upstream.answered.keys()].filter((name) => !ledger.has(name) && !open.has(name) && !this.upstream.failed.has(name));
    assert.deepEqual({ missing, doubled, wrong, vanished }, { missing: [], doubled: [], wrong: [], vanished: [] });
    assert.deepEqual(await this.database.query('SELECT * FROM holdfast.check_invariants()'), []);
    for (const gateway of this.gateways) assert.equal(gateway.complaints, '');
    const statuses = {};
    for (const { status, whole } of this.calls.values()) {
      const key = whole ? 'answered' : status;
      statuses[key] = (statuses[key] ?? 0) + 1;
    }
    return { calls: this.calls.size, ...statuses, ledger: rows.length, open: open.size };
  }

  // Drops what verify() has seen, but for the calls whose holds are open, so that a long test needs no more than a short one.
  async forget() {
    const open = await this.database.query(`SELECT user_id AS name FROM holdfast.holds WHERE status = 'open'`);
    this.calls = new Map(open.map(({ name }) => [name, this.calls.get(name)]));
    this.upstream.forget();
  }

  // What the gateways take: memory in kB and descriptors, for each.
  usage() {
    return this.gateways.map(({ pid }) => ({
      memoryKb: Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]),
      descriptors: readdirSync(`/proc/${pid}/fd`).length,
    }));
  }

  async stop() {
    this.#working = false;
    await Promise.all(this.gateways.map((gateway) => gateway.stop()));
    await Promise.all(this.#clients);
    await this.upstream.stop();
    await this.database.drop();
    await this.server.remove();
  }
}
