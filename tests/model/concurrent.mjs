// Many sessions at once. What does not depend on their order must hold: nothing lost, nothing twice, no limit passed,
// what clients were told is what the books show.

import { createHash } from 'node:crypto';
import { Session } from './database.mjs';
import { Mismatch } from './judge.mjs';
import { Random } from './random.mjs';
import { mustBeClean } from './sequential.mjs';
import { sum, text, usd } from './usd.mjs';

const kWorkflows = 6;
const kWatchEvery = Number(process.env.MODEL_WATCH_EVERY ?? 200); // operations

// A uuid that every session derives alike.
function sharedUuid(name) {
  return createHash('sha256').update(name).digest('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*$/, '$1-$2-$3-$4-$5');
}

class Witness {
  constructor(seed, offered, count) {
    // Two tenths of a cent an operation: it is reached.
    this.strictLimit = BigInt(count) * usd('0.002');
    Object.assign(this, { seed, offered, done: 0, refused: 0, denied: 0, duplicates: 0 });
    this.entries = new Map(); // ledger id -> what its first answer said
    this.repeats = [];
    this.adjustments = [];
    this.refunds = [];
    this.holds = new Map(); // hold id -> what was granted, and how often it was released
    this.strict = { id: sharedUuid(`${seed} strict`), workflows: [] };
    this.free = { id: sharedUuid(`${seed} free`), workflows: [] };
  }
}

// One client: random operations one after the other, each answer told to the witness.
class Client {
  constructor(session, random, witness) {
    Object.assign(this, { session, random, witness, mine: [] });
  }

  // The row, or null when the extension refused in its own words; anything else is a failure.
  async ask(name, parameters) {
    this.witness.done += 1;
    try {
      return (await this.session.call(name, parameters))[0];
    } catch (error) {
      if (!/^PT4\d\d$/.test(error.code ?? '')) {
        throw new Mismatch(`${name} ${JSON.stringify(parameters)} failed with ${error.code}: ${error.message}`);
      }
      this.witness.refused += 1;
      return null;
    }
  }

  async step() {
    const { witness } = this;
    const weights = { strictHold: 30, endMine: 30, unheld: 8, freeHold: 6, sameKey: 8, sameHold: 6, endAnothers: 8,
      adjust: 3, budget: 2, expire: 2, refund: witness.offered.has('refund_usage') ? 4 : 0,
      batch: witness.offered.has('record_usage_batch') ? 4 : 0 };
    await this[this.random.weighted(weights)]();
  }

  async hold(organization, workflow, amount, key, ttl) {
    const row = await this.ask('hold_workflow_cost', { p_workflow_id: workflow, p_organization_id: organization.id,
      p_estimated_cost: text(amount), p_ttl: ttl, p_idempotency_key: key });
    if (row === null) return null;
    if (row.granted !== 't') {
      this.witness.denied += 1;
      if (row.hold_id !== null) throw new Mismatch(`a denied hold has the id ${row.hold_id}`);
      return null;
    }
    const hold = { id: row.hold_id, organization, workflow, amount, released: 0 };
    if (!this.witness.holds.has(hold.id)) this.witness.holds.set(hold.id, hold);
    else if (!key) throw new Mismatch(`the hold ${hold.id} was granted twice`);
    return this.witness.holds.get(hold.id);
  }

  ttl() {
    return this.random.weighted({ '10 minutes': 85, '1 microsecond': 5, '20 milliseconds': 10 });
  }

  async strictHold() {
    const { random, witness } = this;
    const workflow = random.chance(85) ? random.pick(witness.strict.workflows) : null;
    const hold = await this.hold(witness.strict, workflow, random.amount(200_000), random.chance(50) ? random.uuid() : null,
      this.ttl());
    if (hold) this.mine.push(hold);
  }

  async freeHold() {
    const { random, witness } = this;
    const hold = await this.hold(witness.free, random.pick(witness.free.workflows), random.amount(400_000), null, this.ttl());
    if (hold) this.mine.push(hold);
  }

  async settle(organization, workflow, cost, key, hold) {
    const row = await this.ask('record_usage_and_increment', { p_workflow_id: workflow, p_organization_id: organization.id,
      p_model: 'in-house', p_prompt_tokens: 10, p_completion_tokens: 5, p_cost: text(cost), p_idempotency_key: key,
      p_hold_id: hold ? hold.id : null });
    if (row) this.recorded(row, { organization, workflow, cost });
    return row;
  }

  recorded(row, { organization, workflow, cost }) {
    const { witness } = this;
    if (usd(row.cost) !== cost) throw new Mismatch(`${text(cost)} was settled, ${row.cost} recorded`);
    if (row.duplicate === 't') {
      witness.duplicates += 1;
      witness.repeats.push({ id: row.ledger_id, cost });
      return;
    }
    if (witness.entries.has(row.ledger_id)) throw new Mismatch(`the entry ${row.ledger_id} was recorded twice`);
    witness.entries.set(row.ledger_id,
      { organization, workflow, cost, total: row.total_ai_cost === null ? null : usd(row.total_ai_cost) });
  }

  // A hold of this client: settled below its amount, released, extended, or left to run out.
  async endMine() {
    const { random } = this;
    if (this.mine.length === 0) return this.strictHold();
    const hold = this.mine.splice(random.between(0, this.mine.length - 1), 1)[0];
    const end = random.weighted({ settle: 65, release: 15, extend: 10, forget: 10 });
    if (end === 'settle') {
      const cost = hold.amount * BigInt(random.between(0, hold.organization === this.witness.free ? 130 : 100)) / 100n;
      // What has run out covers nothing, so a strict client settles only what it could extend.
      if (hold.organization === this.witness.strict && !(await this.extended(hold))) return undefined;
      return this.settle(hold.organization, hold.workflow, cost, random.chance(50) ? random.uuid() : null, hold);
    }
    if (end === 'release') return this.release(hold);
    if (end === 'extend' && (await this.extended(hold))) this.mine.push(hold);
    return undefined;
  }

  extended(hold) {
    return this.ask('extend_hold', { p_hold_id: hold.id, p_organization_id: hold.organization.id, p_ttl: '10 minutes' });
  }

  async release(hold) {
    const row = await this.ask('release_hold', { p_hold_id: hold.id, p_organization_id: hold.organization.id });
    if (row) hold.released += 1;
  }

  // Holds of the free organization that several clients try to end.
  async endAnothers() {
    const { random, witness } = this;
    const known = [...witness.holds.values()].filter((hold) => hold.organization === witness.free).slice(-12);
    if (known.length === 0) return this.freeHold();
    const hold = random.pick(known);
    if (random.chance(50)) return this.release(hold);
    return this.settle(hold.organization, hold.workflow, hold.amount / 2n, null, hold);
  }

  async unheld() {
    const { random, witness } = this;
    const workflow = random.chance(90) ? random.pick(witness.free.workflows) : null;
    return this.settle(witness.free, workflow, random.amount(50_000), random.chance(50) ? random.uuid() : null, null);
  }

  // The same settlement from many clients at about the same time.
  async sameKey() {
    const { witness } = this;
    const round = Math.floor(witness.done / 60);
    const workflow = witness.free.workflows[round % kWorkflows];
    return this.settle(witness.free, workflow, BigInt(round + 1) * 10n ** 13n, sharedUuid(`${witness.seed} settle ${round}`), null);
  }

  async sameHold() {
    const { witness } = this;
    const round = Math.floor(witness.done / 60);
    return this.hold(witness.free, witness.free.workflows[round % kWorkflows], 10n ** 15n,
      sharedUuid(`${witness.seed} hold ${round}`), '10 minutes');
  }

  async adjust() {
    const { random, witness } = this;
    const amount = random.amount(5_000) * (random.chance(50) ? 1n : -1n);
    const row = await this.ask('increment_workflow_cost',
      { p_workflow_id: random.pick(witness.free.workflows), p_amount: text(amount) });
    if (row) witness.adjustments.push(amount);
  }

  async budget() {
    const { random, witness } = this;
    const limit = random.chance(20) ? null : text(random.amount(60_000_000));
    return this.ask('set_budget', { p_organization_id: witness.free.id, p_limit_usd: limit });
  }

  expire() {
    return this.ask('expire_holds', {});
  }

  // Parts of recent entries taken back, by several clients: never more than each had cost.
  async refund() {
    const { random, witness } = this;
    const known = [...witness.entries].filter(([, entry]) => entry.organization === witness.free && entry.cost > 0n).slice(-12);
    if (known.length === 0) return;
    const [id, entry] = random.pick(known);
    const row = await this.ask('refund_usage', { p_ledger_id: id, p_organization_id: witness.free.id,
      p_amount: random.chance(30) ? null : text(entry.cost / BigInt(random.between(1, 4))) });
    if (row) witness.refunds.push({ id: row.ledger_id, of: id, cost: usd(row.cost) });
  }

  async batch() {
    const { random, witness } = this;
    const wanted = Array.from({ length: random.between(1, 12) }, () => ({ organization: witness.free,
      workflow: random.pick(witness.free.workflows), cost: random.amount(20_000), key: random.chance(50) ? random.uuid() : null }));
    this.witness.done += 1;
    const rows = await this.session.call('record_usage_batch', { p_organization_id: witness.free.id,
      p_entries: JSON.stringify(wanted.map((entry) => ({ workflow_id: entry.workflow, model: 'in-house', prompt_tokens: 10,
        completion_tokens: 5, cost: text(entry.cost), idempotency_key: entry.key }))) });
    if (rows.length !== wanted.length) throw new Mismatch(`${rows.length} results of a batch of ${wanted.length}`);
    for (const row of rows) {
      if (row.sqlstate !== null) throw new Mismatch(`entry ${row.entry} of a batch failed: ${row.sqlstate} ${row.error}`);
      this.recorded(row, wanted[Number(row.entry) - 1]);
    }
  }
}

async function prepare(session, witness) {
  await session.call('set_budget', { p_organization_id: witness.strict.id, p_limit_usd: text(witness.strictLimit) });
  for (let i = 0; i < kWorkflows; i += 1) {
    for (const [organization, limit] of [[witness.strict, text(witness.strictLimit / 4n)], [witness.free, '5']]) {
      const [row] = await session.call('create_workflow', { p_organization_id: organization.id, p_cost_limit: limit });
      organization.workflows.push(row.create_workflow);
    }
  }
}

// The ledger holds what clients were told, once.
async function compareLedger(session, witness) {
  const rows = await session.query(`SELECT id, organization_id, workflow_id, kind, cost, total_ai_cost
    FROM holdfast.ai_usage_ledger WHERE organization_id = ANY ($1)`, [[witness.strict.id, witness.free.id]]);
  const byId = new Map(rows.map((row) => [row.id, row]));
  for (const [id, told] of witness.entries) {
    const row = byId.get(id);
    if (!row) throw new Mismatch(`the acknowledged entry ${id} is not in the ledger`);
    if (usd(row.cost) !== told.cost || row.organization_id !== told.organization.id || row.workflow_id !== told.workflow)
      throw new Mismatch(`the entry ${id} is not what was acknowledged`);
  }
  const usage = rows.filter((row) => row.kind === 'usage');
  if (usage.length !== witness.entries.size) throw new Mismatch(`${usage.length} entries for ${witness.entries.size} acknowledged settlements`);
  for (const repeat of witness.repeats) {
    if (witness.entries.get(repeat.id)?.cost !== repeat.cost) throw new Mismatch(`a repeat was answered with the unknown entry ${repeat.id}`);
  }
  const adjusted = rows.filter((row) => row.kind === 'adjustment').map((row) => usd(row.cost));
  if (adjusted.length !== witness.adjustments.length || sum(adjusted) !== sum(witness.adjustments))
    throw new Mismatch(`${adjusted.length} adjustments of ${text(sum(adjusted))}, acknowledged ${witness.adjustments.length}`);
  compareRefunds(rows, byId, witness);
  return rows;
}

function compareRefunds(rows, byId, witness) {
  const refunds = rows.filter((row) => row.kind === 'refund');
  if (refunds.length !== witness.refunds.length) throw new Mismatch(`${refunds.length} refunds, acknowledged ${witness.refunds.length}`);
  const left = new Map();
  for (const { id, of, cost } of witness.refunds) {
    if (usd(byId.get(id)?.cost ?? '0') !== cost) throw new Mismatch(`the refund ${id} is not what was acknowledged`);
    left.set(of, (left.get(of) ?? usd(byId.get(of).cost)) + cost);
    if (left.get(of) < 0n) throw new Mismatch(`more was refunded of ${of} than it cost`);
  }
}

// A counter shows the sum of its entries and of its open holds.
async function compareCounters(session, witness, rows) {
  for (const organization of [witness.strict, witness.free]) {
    for (const id of [organization.id, ...organization.workflows]) {
      const expected = sum(rows.filter((row) => row.organization_id === organization.id &&
        (id === organization.id || row.workflow_id === id)).map((row) => usd(row.cost)));
      const [row] = await session.query(`SELECT sum(spent) AS spent, sum(held) AS held, (SELECT coalesce(sum(h.amount), 0)
        FROM holdfast.holds h WHERE h.status = 'open' AND h.organization_id = $2 AND $1::uuid = ANY (h.budget_ids)) AS open
        FROM holdfast.budget_counters WHERE budget_id = $1 AND organization_id = $2`, [id, organization.id]);
      if (usd(row.spent) !== expected) throw new Mismatch(`counter ${id}: spent is ${row.spent}, expected ${text(expected)}`);
      if (usd(row.held) !== usd(row.open)) throw new Mismatch(`counter ${id}: held is ${row.held}, open holds ${row.open}`);
    }
  }
}

async function compareHolds(session, witness) {
  const rows = await session.query('SELECT hold_id, status, amount FROM holdfast.holds WHERE organization_id = ANY ($1)',
    [[witness.strict.id, witness.free.id]]);
  if (rows.length !== witness.holds.size) throw new Mismatch(`${rows.length} holds, ${witness.holds.size} granted`);
  for (const row of rows) {
    const hold = witness.holds.get(row.hold_id);
    if (!hold || hold.amount !== usd(row.amount)) throw new Mismatch(`hold ${row.hold_id} is not what was granted`);
    const { released } = hold;
    if (released > 1) throw new Mismatch(`hold ${row.hold_id} was released ${released} times`);
    if ((released === 1) !== (row.status === 'released'))
      throw new Mismatch(`hold ${row.hold_id} is ${row.status}, released ${released} times`);
  }
}

// Where costs only add up, the totals that entries were answered with form one chain, whoever wrote them.
function compareChains(witness) {
  for (const workflow of witness.strict.workflows) {
    const told = [...witness.entries.values()].filter((entry) => entry.workflow === workflow)
      .sort((a, b) => (a.total < b.total || (a.total === b.total && a.cost > b.cost) ? -1 : 1));
    let total = 0n;
    for (const entry of told) {
      total += entry.cost;
      if (entry.total !== total) throw new Mismatch(`workflow ${workflow}: a settlement was told ${text(entry.total)}, expected ${text(total)}`);
    }
  }
}

// What is left below the limit can be held to the last unit, however the counter is divided; and not a unit more.
async function compareLastUnit(session, witness) {
  const organization = { p_organization_id: witness.strict.id };
  const open = await session.query(`SELECT hold_id FROM holdfast.holds WHERE status = 'open' AND organization_id = $1`, [witness.strict.id]);
  for (const { hold_id: id } of open) {
    // One that has run out is refused, and reserves nothing all the same.
    await session.call('release_hold', { p_hold_id: id, ...organization }).catch((error) => {
      if (error.code !== 'PT409') throw error;
    });
  }
  const [{ spent }] = await session.query('SELECT sum(cost) AS spent FROM holdfast.ai_usage_ledger WHERE organization_id = $1', [witness.strict.id]);
  const left = witness.strictLimit - usd(spent ?? '0');
  if (left < 0n) throw new Mismatch(`${spent} was spent of ${text(witness.strictLimit)}, and nothing but held money was`);
  const parts = [left / 3n, left / 2n, left - left / 3n - left / 2n];
  for (const part of parts) {
    const [row] = await session.call('hold_workflow_cost', { p_workflow_id: null, ...organization, p_estimated_cost: text(part) });
    if (row.granted !== 't') throw new Mismatch(`${text(part)} of ${text(left)} that are left were refused`);
  }
  const [more] = await session.call('hold_workflow_cost', { p_workflow_id: null, ...organization, p_estimated_cost: text(1n) });
  if (more.granted !== 'f' || more.scope !== 'organization') throw new Mismatch('one unit above the limit was granted');
}

export async function runConcurrent(database, seed, count, sessions) {
  const watcher = await Session.open(database);
  const witness = new Witness(seed, await watcher.offered(), count);
  await prepare(watcher, witness);
  const clients = [];
  for (let i = 0; i < sessions; i += 1) clients.push(new Client(await Session.open(database), new Random(seed + 7919 * (i + 1)), witness));
  let failed = null;
  let watched = 0;
  const work = async (client) => {
    while (!failed && witness.done < count) await client.step();
  };
  const watch = async () => {
    for (let next = kWatchEvery; !failed && next < count; next += kWatchEvery) {
      while (!failed && witness.done < next) await new Promise((resolve) => setTimeout(resolve, 5));
      await mustBeClean(watcher);
      watched += 1;
    }
  };
  try {
    await Promise.all([...clients.map(work), watch()].map((task) => task.catch((error) => { failed ??= error; })));
    if (failed) throw failed;
    const rows = await compareLedger(watcher, witness);
    await compareCounters(watcher, witness, rows);
    await compareHolds(watcher, witness);
    compareChains(witness);
    await compareLastUnit(watcher, witness);
    await mustBeClean(watcher);
  } finally {
    await Promise.all([watcher.close(), ...clients.map((client) => client.session.close())]);
  }
  return { operations: witness.done, refused: witness.refused, denied: witness.denied, duplicates: witness.duplicates,
    entries: witness.entries.size, 'checks meanwhile': watched };
}
