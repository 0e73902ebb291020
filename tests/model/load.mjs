#!/usr/bin/env node
// Clients that hold and settle while servers die under them. Each settlement has a key of its own; what became of one
// that got no answer is found out by repeating it under the same key, as a gateway does. Every acknowledgement is
// written down (file `--acknowledged`, one JSON line each) before the next call is made.
// Usage: node load.mjs --database D --acknowledged FILE [--clients N] [--seconds S] [--seed N]
// Ends by itself after S seconds, or on SIGTERM; then every client has settled what it had begun.

import { appendFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Session } from './database.mjs';
import { Random } from './random.mjs';
import { text } from './usd.mjs';

const { values } = parseArgs({ options: {
  database: { type: 'string' }, acknowledged: { type: 'string' }, clients: { type: 'string', default: '8' },
  seconds: { type: 'string', default: '600' }, seed: { type: 'string', default: '1' },
} });
const kGiveUp = 120_000; // milliseconds without any server
const figures = { calls: 0, acknowledged: 0, repeated: 0, lost: 0 };
let stopping = false;
process.on('SIGTERM', () => { stopping = true; });
setTimeout(() => { stopping = true; }, Number(values.seconds) * 1000).unref();

const pause = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });
// The extension's own refusals; anything else is a server that went away.
const isRefusal = (error) => /^(PT|22|23|42)/.test(error.code ?? '');

class Client {
  constructor(random, workflows) {
    Object.assign(this, { random, workflows, session: null });
  }

  async connected() {
    const since = Date.now();
    while (this.session === null) {
      try {
        // Libpq's way to name several servers: PGHOST may be a list, the first that takes writes is meant.
        this.session = await openWritable(values.database);
      } catch (error) {
        if (Date.now() - since > kGiveUp) throw error;
        await pause(20);
      }
    }
    return this.session;
  }

  async drop() {
    const { session } = this;
    this.session = null;
    figures.lost += 1;
    await Promise.race([session.close().catch(() => {}), pause(100)]);
  }

  // The row, or undefined when nobody knows what became of the call.
  async ask(name, parameters) {
    const session = await this.connected();
    figures.calls += 1;
    try {
      return (await session.call(name, parameters))[0];
    } catch (error) {
      if (isRefusal(error)) throw error;
      await this.drop();
      return undefined;
    }
  }

  async settleUntilKnown(parameters) {
    for (let attempt = 0; ; attempt += 1) {
      const row = await this.ask('record_usage_and_increment', parameters);
      if (row === undefined) continue;
      if (attempt > 0 && row.duplicate === 't') figures.repeated += 1;
      appendFileSync(values.acknowledged, `${JSON.stringify({ key: parameters.p_idempotency_key, cost: row.cost,
        organization: parameters.p_organization_id, workflow: parameters.p_workflow_id })}\n`);
      figures.acknowledged += 1;
      return;
    }
  }

  // One that ran out and was swept meanwhile is refused, and so is one whose release is repeated.
  async release(hold, organization) {
    try {
      await this.ask('release_hold', { p_hold_id: hold, p_organization_id: organization });
    } catch (error) {
      if (error.code !== 'PT409') throw error;
    }
  }

  async step() {
    const { random } = this;
    const { workflow, organization } = random.pick(this.workflows);
    const subject = { p_workflow_id: workflow, p_organization_id: organization };
    const amount = random.amount(20_000) + 1n;
    let hold = null;
    if (random.chance(80)) {
      const row = await this.ask('hold_workflow_cost', { ...subject, p_estimated_cost: text(amount),
        p_user_id: random.pick(['ada', 'bob', undefined]), p_ttl: random.pick(['10 minutes', '50 milliseconds']) });
      if (row === undefined || row.granted !== 't') return;
      hold = row.hold_id;
      if (random.chance(10)) {
        await this.release(hold, organization);
        return;
      }
    }
    await this.settleUntilKnown({ ...subject, p_model: 'in-house', p_prompt_tokens: 7, p_completion_tokens: 3,
      p_cost: text(amount / BigInt(random.between(1, 5))), p_hold_id: hold, p_idempotency_key: random.uuid() });
    if (random.chance(2)) await this.ask('expire_holds', {});
  }
}

async function openWritable(database) {
  let failure;
  for (const host of process.env.PGHOST.split(',')) {
    try {
      const session = await Session.open(database, host);
      if ((await session.query('SELECT pg_is_in_recovery() AS standby'))[0].standby === 'f') return session;
      await session.close();
      failure = new Error('only a standby answers');
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

async function prepare() {
  const session = await openWritable(values.database);
  const seed = Number(values.seed);
  const random = new Random(seed);
  const workflows = [];
  for (let i = 0; i < 3; i += 1) {
    const organization = random.uuid();
    await session.call('set_budget', { p_organization_id: organization, p_limit_usd: '1000000' });
    for (let j = 0; j < 4; j += 1) {
      const [row] = await session.call('create_workflow', { p_organization_id: organization, p_cost_limit: '1000000' });
      workflows.push({ organization, workflow: row.create_workflow });
    }
  }
  await session.close();
  return workflows;
}

writeFileSync(values.acknowledged, '', { flag: 'a' });
const workflows = await prepare();
const clients = Array.from({ length: Number(values.clients) }, (_, i) =>
  new Client(new Random(Number(values.seed) + 104729 * (i + 1)), workflows));
console.log('ready');
try {
  await Promise.all(clients.map(async (client) => {
    while (!stopping) await client.step();
    if (client.session) await client.session.close();
  }));
} catch (error) {
  console.error(error.stack);
  process.exitCode = 1;
}
console.log(JSON.stringify(figures));
process.exit();
