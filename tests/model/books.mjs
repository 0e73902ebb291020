// The money rules, from the specification and not from the extension's source. A method predicts what an operation
// answers, as { error: [SQLSTATEs] } or { row, apply }: `row` says what each column must be (a value, or a function
// that judges it), `apply` moves the books, with the row that the extension answered (for the ids it chose).

import { Mismatch } from './judge.mjs';
import { costOf, Prices } from './prices.mjs';
import { greater, sum, text, usd } from './usd.mjs';

const kForever = '-infinity';
const kScopes = ['workflow', 'user', 'api_key', 'community', 'provider', 'tool', 'credits', 'organization'];
const kUsdOfCredit = 100n; // credits a dollar
const kMaxTokens = 100_000_000;

export const day = (micros) => new Date(Number(micros / 1000n)).toISOString().slice(0, 10);

function periodStart(period, date) {
  if (period === 'none') return kForever;
  if (period === 'month') return `${date.slice(0, 7)}-01`;
  if (period === 'day') return date;
  const monday = new Date(`${date}T00:00:00Z`);
  monday.setUTCDate(monday.getUTCDate() - ((monday.getUTCDay() + 6) % 7));
  return monday.toISOString().slice(0, 10);
}

const error = (...sqlstates) => ({ error: sqlstates });
// A judge of a column that can say what it wants.
const wanting = (wanted, judges) => Object.assign(judges, { wanted });
const money = (units) => wanting(text(units), (actual) => actual !== null && usd(actual) === units);
const noTokens = () => ({ prompt: 0, completion: 0, cached: 0, written: 0, reasoning: 0 });
const between = (low, high) =>
  wanting(`${text(low)} to ${text(high)}`, (actual) => usd(actual) >= low && usd(actual) <= high);

export class Books {
  constructor() {
    this.prices = new Prices();
    this.budgets = new Map(); // by organization/scope/subject/period
    this.counters = new Map(); // by budget and period start
    this.workflows = new Map();
    this.holds = new Map();
    this.entries = [];
    this.entryById = new Map(); // by organization and id
    this.grants = new Map(); // by organization and key
    this.denials = 0;
  }

  // Budgets -------------------------------------------------------------------------------------------------------

  budgetKey(organization, scope, subject, period) {
    return [organization, scope, subject, period].join('/');
  }

  addBudget(budget) {
    this.budgets.set(this.budgetKey(budget.organization, budget.scope, budget.subject, budget.period), budget);
    return budget;
  }

  organizationMonth(organization) {
    const found = this.budgets.get(this.budgetKey(organization, 'organization', '', 'month'));
    return found ?? this.addBudget(
      { id: organization, organization, scope: 'organization', subject: '', period: 'month', limit: null });
  }

  // The budgets that a call counts against: those of its workflow, of whoever else it names, of the organization.
  budgetsOf(subject) {
    this.organizationMonth(subject.organization);
    const named = { ...subject, organization: '' };
    const accounts = [subject.user && `user:${subject.user}`, subject.community && `community:${subject.community}`];
    return [...this.budgets.values()].filter((budget) => budget.organization === subject.organization &&
      (budget.scope === 'credits' ? accounts.includes(budget.subject) : (named[budget.scope] ?? null) === budget.subject));
  }

  counter(budget, date) {
    const start = periodStart(budget.period, date);
    const key = `${this.budgetKey(budget.organization, budget.scope, budget.subject, budget.period)}/${start}`;
    if (!this.counters.has(key)) this.counters.set(key, { budget, start, spent: 0n, holds: new Set() });
    return this.counters.get(key);
  }

  countersOf(subject, now) {
    const order = (counter) => kScopes.indexOf(counter.budget.scope);
    return this.budgetsOf(subject).map((budget) => this.counter(budget, day(now))).sort((a, b) => order(a) - order(b));
  }

  held(counter) {
    return sum([...counter.holds].map((hold) => hold.amount));
  }

  // What is really reserved: a hold that has run out reserves nothing, swept or not.
  reserved(counter, now) {
    return sum([...counter.holds].filter((hold) => hold.expires > now).map((hold) => hold.amount));
  }

  // The figures of one of these counters; `held` may still show what has run out and is not swept.
  figures(counters, now, lowered) {
    return (row) => counters.some((counter) => {
      const limit = this.limitOf(counter, lowered);
      if ((row.limit_usd === null) !== (limit === null)) return false;
      return (limit === null || usd(row.limit_usd) === limit) && usd(row.spent) === counter.spent &&
        usd(row.held) >= this.reserved(counter, now) && usd(row.held) <= this.held(counter);
    });
  }

  describe(counters, lowered) {
    return counters.map((counter) => `${counter.budget.scope} ${counter.budget.period} limit ${text(this.limitOf(counter, lowered))}` +
      ` spent ${text(counter.spent)} held ${text(this.held(counter))}`).join('; ');
  }

  limitOf(counter, lowered = null) {
    const { limit, scope, period } = counter.budget;
    if (scope !== 'workflow' || period !== 'none' || lowered === null) return limit;
    return limit === null || lowered < limit ? lowered : limit;
  }

  setBudget({ organization, limit, scope = 'organization', subject = '', period = 'month', advice = {} }, now) {
    if (limit !== null && limit < 0n) return error('PT400');
    const figures = { limit, soft: advice.soft ?? null, downgradeAt: advice.downgradeAt ?? null,
      downgradeModel: advice.downgradeModel ?? null };
    if (scope === 'organization' && period === 'month') this.organizationMonth(organization);
    const known = this.budgets.get(this.budgetKey(organization, scope, subject, period));
    return {
      row: { set_budget: known ? known.id : (id) => id !== null },
      apply: (row) => {
        if (known) {
          Object.assign(known, figures);
          return;
        }
        const budget = this.addBudget({ id: row.set_budget, organization, scope, subject, period, ...figures });
        const counter = this.counter(budget, day(now));
        for (const entry of this.entries) {
          if (entry.subject.organization !== organization) continue;
          if (({ ...entry.subject, organization: '' }[scope] ?? null) !== subject) continue;
          if (periodStart(period, entry.date) === counter.start) counter.spent += entry.cost;
        }
      },
    };
  }

  statusOf(budget, used) {
    if (budget.limit !== null && used >= budget.limit) return 'exhausted';
    if ((budget.downgradeAt ?? null) !== null && used >= budget.downgradeAt) return 'downgrade';
    return (budget.soft ?? null) !== null && used >= budget.soft ? 'warning' : 'ok';
  }

  // One row a budget that was ever set; the organization's month may be listed without.
  judgeBudgets({ organization }, rows, now) {
    const name = (row) => `${row.scope}/${row.subject}/${row.period}`;
    const byName = new Map(rows.map((row) => [name(row), row]));
    for (const budget of this.budgets.values()) {
      if (budget.organization !== organization || (budget.scope === 'workflow' && budget.period === 'none')) continue;
      const row = byName.get(name(budget));
      if (!row && budget.id === organization && budget.limit === null) continue;
      const counter = this.counter(budget, day(now));
      const used = counter.spent + this.reserved(counter, now);
      const expected = { budget_id: budget.id ?? row?.budget_id, period_start: counter.start,
        limit_usd: text(budget.limit), soft_limit_usd: text(budget.soft ?? null),
        downgrade_at_usd: text(budget.downgradeAt ?? null), downgrade_model: budget.downgradeModel ?? null,
        spent: text(counter.spent), held: text(this.reserved(counter, now)),
        remaining: budget.limit === null ? null : text(budget.limit - used), status: this.statusOf(budget, used) };
      for (const [column, value] of Object.entries(expected)) {
        const actual = row?.[column] ?? null;
        const same = /^-?[0-9.]+$/.test(actual ?? '') && value !== null ? usd(actual) === usd(value) : actual === value;
        if (!same) throw new Mismatch(`budget ${budget.scope} ${budget.subject}: ${column} is ${actual}, expected ${value}`);
      }
      byName.delete(name(budget));
    }
    if (byName.size > 0) throw new Mismatch(`get_budgets() shows ${[...byName.keys()]}, which the model does not know`);
  }

  // Which of a call's budgets say something about it: those whose threshold is passed for sure, and those where that
  // depends on holds that have run out and may not have been swept.
  reached(subject, threshold, now) {
    const known = this.countersOf(subject, now).filter(({ budget }) => (budget[threshold] ?? null) !== null);
    return {
      certain: known.filter((counter) => counter.spent + this.reserved(counter, now) >= counter.budget[threshold]),
      possible: known.filter((counter) => counter.spent + this.held(counter) >= counter.budget[threshold]),
    };
  }

  // Credits: a budget from the first grant on, whose limit is what was granted.
  grant({ organization, account, credits, key }, now) {
    const earlier = key === null ? undefined : this.grants.get(`${organization}/${key}`);
    if (earlier && (earlier.account !== account || earlier.credits !== credits)) return error('PT409');
    const known = this.budgets.get(this.budgetKey(organization, 'credits', account, 'none'));
    const counter = known && this.counter(known, day(now));
    const granted = earlier ? 0n : credits / kUsdOfCredit;
    const left = (known ? known.limit - counter.spent : 0n) + granted;
    if (granted < 0n && left - (counter ? this.reserved(counter, now) : 0n) < 0n) return error('PT409');
    return {
      row: { grant_credits: money(left * kUsdOfCredit) },
      apply: () => {
        const budget = known ?? this.addBudget({ id: null, organization, scope: 'credits', subject: account, period: 'none', limit: 0n });
        budget.limit += granted;
        this.counter(budget, day(now));
        if (key !== null) this.grants.set(`${organization}/${key}`, { account, credits });
      },
    };
  }

  monthlyCost({ organization }, now) {
    const counter = this.counter(this.organizationMonth(organization), day(now));
    return { row: { get_organization_monthly_ai_cost: money(counter.spent) }, apply() {} };
  }

  // Workflows -----------------------------------------------------------------------------------------------------

  createWorkflow({ organization, limit }) {
    if (limit !== null && limit < 0n) return error('PT400');
    return {
      row: { create_workflow: (id) => id !== null && !this.workflows.has(id) },
      apply: ({ create_workflow: id }) => {
        const budget = this.addBudget({
          id, organization, scope: 'workflow', subject: id, period: 'none', limit: limit ?? usd('1') });
        this.workflows.set(id, { id, organization, budget });
        this.counter(budget, '');
      },
    };
  }

  setWorkflowLimit({ workflow, limit }) {
    return { row: {}, apply: () => { this.workflows.get(workflow).budget.limit = limit; } };
  }

  // Why a call cannot be made for this workflow, or null.
  refusedWorkflow({ workflow, organization }) {
    if (workflow === null) return null;
    const known = this.workflows.get(workflow);
    if (!known) return error('PT404');
    return known.organization === organization ? null : error('PT403');
  }

  checkLimit({ workflow, estimate, limit }, now) {
    if (estimate < 0n) return error('PT400');
    const known = this.workflows.get(workflow);
    if (!known) return error('PT404');
    const counter = this.counter(known.budget, '');
    const fits = counter.spent + this.reserved(counter, now) + estimate <= (limit ?? known.budget.limit);
    return { row: { check_workflow_cost_limit: fits ? 't' : 'f' }, apply() {} };
  }

  // Holds ---------------------------------------------------------------------------------------------------------

  // `brief`: the answer leaves out what is spent and held where nothing has a limit.
  hold({ key, estimate, limit, ttl, brief = false, ...subject }, now) {
    if (estimate < 0n || (limit !== null && limit < 0n) || ttl <= 0n) return error('PT400');
    const earlier = key === null ? undefined : this.holds.get(`${subject.organization}/${key}`);
    if (earlier) return this.holdAgain(earlier, estimate, subject, now);
    const refused = this.refusedWorkflow(subject);
    if (refused) return refused;
    const counters = this.countersOf(subject, now);
    const refusing = counters.filter((counter) => {
      const most = this.limitOf(counter, limit);
      return most !== null && counter.spent + this.reserved(counter, now) + estimate > most;
    });
    if (refusing.length > 0) return this.denied(refusing, limit, now);
    return {
      row: { hold_id: (id) => (key === null ? id !== null : id === key), granted: 't', scope: null },
      apply: (row, done) => {
        if (row.expires_micros < now + ttl || row.expires_micros > done + ttl)
          throw new Error(`the hold lives until ${row.expires_at}, which is not its ttl from now`);
        const hold = { id: row.hold_id, organization: subject.organization, workflow: subject.workflow, counters,
          subject, amount: estimate, status: 'open', expires: row.expires_micros };
        this.holds.set(`${subject.organization}/${hold.id}`, hold);
        for (const counter of counters) counter.holds.add(hold);
        if (brief && counters.every((counter) => this.limitOf(counter, limit) === null)) {
          if (row.limit_usd !== null || row.spent !== null || row.held !== null) throw new Error('it shows figures, but nothing has a limit');
          return;
        }
        // What has run out by the time of the answer, this hold included, may be left out of them.
        if (!this.figures(counters, done, limit)(row)) throw new Error(`the figures are those of no budget that applies: ${this.describe(counters, limit)}`);
      },
    };
  }

  denied(refusing, lowered, now) {
    return {
      row: { hold_id: null, granted: 'f', expires_at: null,
        scope: (scope) => refusing.some((counter) => counter.budget.scope === scope) },
      apply: (row) => {
        this.denials += 1;
        const named = refusing.filter((counter) => counter.budget.scope === row.scope);
        if (!named.some((counter) => usd(row.held) === this.reserved(counter, now)) ||
            !this.figures(named, now, lowered)(row)) throw new Error('the figures are not those of the budget that refused');
      },
    };
  }

  holdAgain(earlier, estimate, subject) {
    if (earlier.amount !== estimate || earlier.workflow !== subject.workflow) return error('PT409');
    return { row: { hold_id: earlier.id, granted: 't', scope: null, expires_micros: earlier.expires }, apply() {} };
  }

  endHold(hold, status) {
    hold.status = status;
    for (const counter of hold.counters) counter.holds.delete(hold);
  }

  release({ hold: id, organization }, now) {
    const hold = this.holds.get(`${organization}/${id}`);
    if (!hold) return error('PT404');
    if (hold.status !== 'open') return error('PT409');
    // One that has run out may be refused, or given back once more: its money is free either way.
    const released = { row: { release_hold: 't' }, apply: () => this.endHold(hold, 'released') };
    return hold.expires > now ? released : { ...released, orError: ['PT409'] };
  }

  extend({ hold: id, organization, ttl }, now) {
    if (ttl <= 0n) return error('PT400');
    const hold = this.holds.get(`${organization}/${id}`);
    if (!hold) return error('PT404');
    if (hold.status !== 'open' || hold.expires <= now) return error('PT409');
    return {
      row: { extend_hold: (at) => at !== null },
      apply: (row, done) => {
        if (row.expires_micros < now + ttl || row.expires_micros > done + ttl) throw new Error('extended to another moment');
        hold.expires = row.expires_micros;
      },
    };
  }

  expire({ most }, now) {
    const due = [...this.holds.values()].filter((hold) => hold.status === 'open' && hold.expires <= now);
    if (due.length > most) throw new Error('the model cannot know which holds a short sweep takes');
    return {
      row: { expire_holds: String(due.length) },
      apply: () => due.forEach((hold) => this.endHold(hold, 'expired')),
    };
  }

  // Settlements ---------------------------------------------------------------------------------------------------

  tokensOf(args) {
    const tokens = { prompt: args.prompt ?? 0, completion: args.completion ?? 0, cached: args.cached ?? 0,
      written: args.written ?? 0, reasoning: args.reasoning ?? 0 };
    const possible = Object.values(tokens).every((count) => count >= 0 && count <= kMaxTokens) &&
      tokens.cached + tokens.written <= tokens.prompt && tokens.reasoning <= tokens.completion;
    return possible ? tokens : null;
  }

  calculate({ provider, plainModel, ...args }, now) {
    const tokens = this.tokensOf(args);
    if (!tokens) return error('PT400');
    const price = this.prices.find(provider, plainModel, day(now));
    return price ? { row: { calculate_cost: money(costOf(price, tokens)) }, apply() {} } : error('PT422');
  }

  settle(args, now) {
    const { key, hold: holdId, cost: given, model, plainModel, metadata = {} } = args;
    const tokens = this.tokensOf(args);
    if (!tokens || (given !== null && given < 0n)) return error('PT400');
    const subject = this.subjectOf(args);
    const first = key === null ? undefined : this.entryById.get(`${subject.organization}/${key}`);
    if (first) return this.settleAgain(first, args, tokens, subject);
    const price = this.prices.find(subject.provider ?? null, plainModel, day(now));
    const hold = holdId === null ? null : this.holds.get(`${subject.organization}/${holdId}`);
    const faults = [];
    if (given === null && !price) faults.push('PT422');
    if (hold === undefined) faults.push('PT404');
    if (hold && hold.workflow !== subject.workflow) faults.push('PT409');
    faults.push(...(this.refusedWorkflow(subject)?.error ?? []));
    if (faults.length > 0) return error(...faults);
    const list = price ? costOf(price, tokens) : null;
    const cost = given ?? list;
    const open = hold && hold.status === 'open' ? hold : null;
    const covered = open && open.expires > now ? open.amount : 0n;
    if (subject.provider === null && price) subject.provider = price.provider;
    const entry = { kind: 'usage', key, hold: holdId, subject, model, tokens, cost, list, priceId: price?.id ?? null,
      metadata, date: day(now) };
    return this.charge(entry, { hold: open, late: hold && hold.status === 'expired' ? hold : null, uncovered: greater(0n, cost - covered), named: holdId !== null }, now);
  }

  subjectOf({ organization, workflow, user = null, provider = null, api_key = null, community = null, tool = null }) {
    return { organization, workflow, user, provider, api_key, community, tool };
  }

  settleAgain(first, args, tokens, subject) {
    const same = first.kind === 'usage' && first.model === args.model &&
      Object.keys(tokens).every((kind) => tokens[kind] === first.tokens[kind]) &&
      (args.cost === null || args.cost === first.cost) &&
      (subject.provider === null || subject.provider === first.subject.provider) &&
      ['workflow', 'user', 'api_key', 'community', 'tool'].every((part) => subject[part] === first.subject[part]);
    if (!same) return error('PT409');
    return {
      row: { ledger_id: first.id, cost: money(first.cost), duplicate: 't', overrun: money(first.overrun),
        total_ai_cost: first.total === null ? null : money(first.total) },
      apply() {},
    };
  }

  // Moves every counter by the entry's cost; nothing refuses what was spent.
  charge(entry, { hold, late = null, uncovered, named }, now) {
    const counters = this.countersOf(entry.subject, now);
    const own = this.workflows.get(entry.subject.workflow);
    entry.total = own ? this.counter(own.budget, '').spent + entry.cost : null;
    const low = this.passed(counters, entry.cost, uncovered, (counter) => this.reserved(counter, now));
    const high = this.passed(counters, entry.cost, uncovered, (counter) => this.held(counter));
    return {
      unheld: named ? null : { counters, uncovered },
      row: {
        ledger_id: (id) => (entry.key === null ? id !== null : id === entry.key),
        cost: money(entry.cost),
        total_ai_cost: entry.total === null ? null : money(entry.total),
        duplicate: 'f',
        overrun: named ? money(uncovered) : between(low, high),
      },
      apply: (row) => {
        for (const counter of counters) counter.spent += entry.cost;
        if (hold) this.endHold(hold, 'settled');
        if (late) late.status = 'settled';
        entry.id = row.ledger_id;
        entry.overrun = usd(row.overrun);
        this.entries.push(entry);
        this.entryById.set(`${entry.subject.organization}/${entry.id}`, entry);
      },
    };
  }

  // What of a batch's charges without a hold passed a limit. What it held had its room before, so these come last, in
  // their order: the last of them passes the limit first.
  overrunsOfBatch(charges, now) {
    const later = new Map();
    return [...charges].reverse().map(({ counters, uncovered }) => {
      const passed = (heldOf) => this.passed(counters, 0n, uncovered, (counter) => heldOf(counter) - (later.get(counter) ?? 0n));
      const bounds = { low: passed((counter) => this.reserved(counter, now)), high: passed((counter) => this.held(counter)) };
      for (const counter of counters) later.set(counter, (later.get(counter) ?? 0n) + uncovered);
      return bounds;
    }).reverse();
  }

  // By how much a charge without a hold passes the tightest of the limits.
  passed(counters, cost, uncovered, heldOf) {
    return counters.filter((counter) => counter.budget.limit !== null).map((counter) => {
      const above = counter.spent + cost + heldOf(counter) - counter.budget.limit;
      return above < uncovered ? greater(above, 0n) : uncovered;
    }).reduce(greater, 0n);
  }

  adjust({ workflow, amount }, now) {
    const known = this.workflows.get(workflow);
    if (!known) return error('PT404');
    if (this.counter(known.budget, '').spent + amount < 0n) return error('PT400');
    const subject = this.subjectOf({ organization: known.organization, workflow });
    const entry = { kind: 'adjustment', key: null, hold: null, subject, model: null, cost: amount, list: null,
      priceId: null, tokens: noTokens(), metadata: {},
      date: day(now) };
    const charged = this.charge(entry, { hold: null, uncovered: greater(0n, amount), named: false }, now);
    return {
      row: { increment_workflow_cost: money(entry.total) },
      // An adjustment answers with the total only; its id and overrun are read from the ledger.
      apply: () => charged.apply({ ledger_id: null, overrun: '0' }),
    };
  }

  // A part of a settlement taken back, or all that is left of it.
  refund({ entry: id, organization, amount }, now) {
    if (amount !== null && amount <= 0n) return error('PT400', 'PT409');
    const entry = this.entryById.get(`${organization}/${id}`);
    if (!entry) return error('PT404');
    const left = entry.cost - (entry.refunded ?? 0n);
    if (entry.kind !== 'usage' || left <= 0n || (amount !== null && amount > left)) return error('PT409', 'PT400', 'PT422');
    const back = amount ?? left;
    const refund = { kind: 'refund', key: null, hold: null, subject: { ...entry.subject }, model: entry.model, cost: -back,
      list: null, priceId: null, tokens: noTokens(), metadata: null, date: day(now), corrects: id };
    const charged = this.charge(refund, { hold: null, uncovered: 0n, named: false }, now);
    return {
      row: { ledger_id: charged.row.ledger_id, cost: charged.row.cost, total_ai_cost: charged.row.total_ai_cost },
      apply: (row) => {
        charged.apply({ ...row, overrun: '0' });
        entry.refunded = (entry.refunded ?? 0n) + back;
      },
    };
  }

  // What the tables should show -----------------------------------------------------------------------------------

  expectedCounters() {
    return [...this.counters.values()].map((counter) => {
      const { budget, start } = counter;
      return { key: `${budget.organization}/${budget.id}/${start}`, spent: text(counter.spent), held: text(this.held(counter)),
        limit: text(budget.limit) };
    });
  }
}
