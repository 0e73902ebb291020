// One session, one operation after the other: every answer, every counter and every ledger entry must be the model's.

import { Books } from './books.mjs';
import { Session } from './database.mjs';
import { agrees, judge, Mismatch } from './judge.mjs';
import { Operations } from './operations.mjs';
import { Random } from './random.mjs';
import { Prices } from './prices.mjs';
import { text, usd } from './usd.mjs';

const kCompareEvery = Number(process.env.MODEL_COMPARE_EVERY ?? 250);
const kSoon = 2_000_000n; // microseconds

class Run {
  constructor(session, operations, books, log) {
    Object.assign(this, { session, operations, books, log, compared: 0, lastSeq: 0n, refused: 0, retried: 0 });
  }

  async ask(operation) {
    try {
      const rows = operation.sql
        ? await this.session.query(operation.sql, operation.values)
        : await this.session.call(operation.name, operation.parameters);
      return { row: rows[0] ?? {}, rows };
    } catch (error) {
      if (!/^[0-9A-Z]{5}$/.test(error.code ?? '')) throw error;
      return { error };
    }
  }

  runsOut(from, until) {
    return [...this.books.holds.values()].some((hold) =>
      hold.status === 'open' && hold.expires > from && hold.expires <= until);
  }

  // A hold that ran out while the operation was under way may or may not have counted: undone, and asked again.
  async certainAnswer(operation) {
    for (;;) {
      const guarded = this.runsOut(this.now, this.now + kSoon);
      if (guarded) await this.session.query('BEGIN');
      const answer = await this.ask(operation);
      if (guarded && answer.error) await this.session.query('ROLLBACK');
      answer.done = answer.rows?.at(-1)?.done ?? await this.session.clock();
      if (!this.runsOut(this.now, answer.done)) {
        if (guarded && !answer.error) await this.session.query('COMMIT');
        return answer;
      }
      if (!guarded) throw new Error('an operation took longer than two seconds');
      if (!answer.error) await this.session.query('ROLLBACK');
      this.now = answer.done;
      this.retried += 1;
    }
  }

  async step() {
    const operation = this.operations.next();
    const answer = await this.certainAnswer(operation);
    this.log.push(`${operation.name ?? operation.sql} ${JSON.stringify(operation.parameters ?? operation.values)}` +
      ` -> ${JSON.stringify(answer.error ? answer.error.code : answer.rows, (_, v) => (typeof v === 'bigint' ? String(v) : v))}`);
    if (answer.error) this.refused += 1;
    if (operation.judge) operation.judge(answer, this.now);
    else judge(operation.predict(this.now), answer);
    this.now = answer.done;
  }

  // An account's budget is made by its first grant, which does not tell its id.
  async nameAccounts() {
    const { books } = this;
    for (const row of await this.session.query('SELECT organization_id, account, budget_id FROM holdfast.credit_accounts')) {
      const budget = books.budgets.get(books.budgetKey(row.organization_id, 'credits', row.account, 'none'));
      if (!budget) throw new Mismatch(`the account ${row.account} is not known to the model`);
      budget.id = row.budget_id;
    }
  }

  // What an account shows is what its entries add up to, and what the model has left of it.
  async compareCredits() {
    const { books } = this;
    const rows = await this.session.query(`SELECT b.*, (SELECT sum(l.credits) FROM holdfast.credit_ledger l
      WHERE l.organization_id = b.organization_id AND l.account = b.account) AS added FROM holdfast.credit_balances b`);
    for (const { organization_id: organization, account, balance, added } of rows) {
      const budget = books.budgets.get(books.budgetKey(organization, 'credits', account, 'none'));
      const left = 100n * (budget.limit - books.counter(budget, '').spent);
      if (usd(balance) !== left || usd(added ?? '0') !== left)
        throw new Mismatch(`account ${account}: the balance is ${balance}, the credit ledger ${added}, expected ${text(left)}`);
    }
  }

  async compareCounters() {
    await this.nameAccounts();
    const rows = await this.session.query(`SELECT organization_id || '/' || budget_id || '/' || period_start AS key,
      sum(spent) AS spent, sum(held) AS held, sum(limit_usd) AS limit_usd FROM holdfast.budget_counters GROUP BY 1`);
    const actual = new Map(rows.map((row) => [row.key, row]));
    for (const expected of this.books.expectedCounters()) {
      const row = actual.get(expected.key) ?? { spent: '0', held: '0', limit_usd: null };
      for (const figure of ['spent', 'held']) {
        if (usd(row[figure]) !== usd(expected[figure]))
          throw new Mismatch(`counter ${expected.key}: ${figure} is ${row[figure]}, expected ${expected[figure]}`);
      }
      const limit = row.limit_usd === null ? null : text(usd(row.limit_usd));
      if (actual.has(expected.key) && limit !== expected.limit)
        throw new Mismatch(`counter ${expected.key}: the limit is ${limit}, expected ${expected.limit}`);
      actual.delete(expected.key);
    }
    for (const row of actual.values()) {
      if (usd(row.spent) !== 0n || usd(row.held) !== 0n) throw new Mismatch(`counter ${row.key} is not known to the model`);
    }
  }

  async compareLedger() {
    const rows = await this.session.query(`SELECT id, organization_id, workflow_id, idempotency_key, hold_id, price_id,
      prompt_tokens, completion_tokens, coalesce(cached_tokens, 0) AS cached, coalesce(cache_write_tokens, 0) AS written,
      coalesce(reasoning_tokens, 0) AS reasoning, kind, provider, model, user_id, cost, list_cost, overrun, total_ai_cost,
      metadata, seq, api_key_id, community_id, tool, corrects FROM holdfast.ai_usage_ledger WHERE seq > $1 ORDER BY seq`,
    [String(this.lastSeq)]);
    const expected = this.books.entries.slice(this.compared);
    if (rows.length !== expected.length) throw new Mismatch(`${rows.length} new ledger entries, expected ${expected.length}`);
    rows.forEach((row, i) => this.compareEntry(row, expected[i]));
    this.compared += rows.length;
    if (rows.length > 0) this.lastSeq = BigInt(rows.at(-1).seq);
    const [{ count }] = await this.session.query('SELECT count(*) FROM holdfast.ai_usage_ledger');
    if (Number(count) !== this.compared) throw new Mismatch(`the ledger has ${count} entries, expected ${this.compared}`);
  }

  compareEntry(row, entry) {
    if (entry.id === null) entry.id = row.id;
    const money = (units) => (value) => (value === null ? units === null : units !== null && usd(value) === units);
    const { subject, tokens } = entry;
    const expected = {
      id: entry.id, organization_id: subject.organization, workflow_id: subject.workflow, idempotency_key: entry.key,
      hold_id: entry.hold, price_id: entry.priceId, prompt_tokens: String(tokens.prompt),
      completion_tokens: String(tokens.completion), cached: String(tokens.cached), written: String(tokens.written),
      reasoning: String(tokens.reasoning), kind: entry.kind, provider: subject.provider, model: entry.model,
      user_id: subject.user, cost: money(entry.cost), list_cost: money(entry.list), total_ai_cost: money(entry.total),
      overrun: entry.kind === 'usage' ? money(entry.overrun) : () => true, api_key_id: subject.api_key,
      community_id: subject.community, tool: subject.tool, corrects: entry.corrects ?? null,
      metadata: (value) => entry.metadata === null || JSON.stringify(JSON.parse(value)) === JSON.stringify(entry.metadata),
    };
    for (const [column, value] of Object.entries(expected)) {
      if (!agrees(value, row[column])) throw new Mismatch(`ledger entry ${row.id}: ${column} is ${row[column]}, expected ${value}`);
    }
  }

  async compareHolds() {
    const rows = await this.session.query('SELECT organization_id, hold_id, status, amount FROM holdfast.holds');
    if (rows.length !== this.books.holds.size) throw new Mismatch(`${rows.length} holds, expected ${this.books.holds.size}`);
    for (const row of rows) {
      const hold = this.books.holds.get(`${row.organization_id}/${row.hold_id}`);
      if (!hold || hold.status !== row.status || hold.amount !== usd(row.amount))
        throw new Mismatch(`hold ${row.hold_id} is ${row.status} with ${row.amount}, expected ${hold && hold.status}`);
    }
    const [{ count }] = await this.session.query('SELECT count(*) FROM holdfast.budget_denials');
    if (Number(count) !== this.books.denials) throw new Mismatch(`${count} denials on record, expected ${this.books.denials}`);
  }

  async compareAll() {
    await this.compareCounters();
    await this.compareLedger();
    await this.compareHolds();
    await this.compareCredits();
    await mustBeClean(this.session);
  }
}

export async function mustBeClean(session) {
  const broken = await session.query('SELECT * FROM holdfast.check_invariants()');
  if (broken.length > 0) throw new Mismatch(`check_invariants(): ${JSON.stringify(broken.slice(0, 3))}`);
}

export async function runSequential(database, seed, count, progress = () => {}) {
  const session = await Session.open(database);
  const random = new Random(seed);
  const books = new Books();
  for (const row of await session.query('SELECT * FROM holdfast.ai_provider_pricing')) books.prices.add(Prices.fromRow(row));
  const organizations = [random.uuid(), random.uuid(), random.uuid()];
  const operations = new Operations(random, books, await session.offered(), organizations);
  if (operations.weights.openCall > 0) await operations.calls.prepare(session);
  const log = [];
  const run = new Run(session, operations, books, log);
  run.now = await session.clock();
  let done = 0;
  try {
    for (; done < count; done += 1) {
      await run.step();
      if (log.length > 60) log.shift();
      if ((done + 1) % kCompareEvery === 0) {
        await run.compareAll();
        progress(done + 1);
      }
    }
    await run.compareAll();
  } catch (error) {
    if (error instanceof Mismatch) error.message = `operation ${done + 1}: ${error.message}\n  ${log.slice(-60).join('\n  ')}`;
    throw error;
  } finally {
    await session.close();
  }
  return { operations: done, refused: run.refused, denied: books.denials, entries: books.entries.length, retried: run.retried };
}
