// Random operations: what is asked of the extension (`name`, `parameters`) and of the model (`predict`).

import { CallOperations } from './call_operations.mjs';
import { judge, Mismatch } from './judge.mjs';
import { text, usd } from './usd.mjs';

const kMinute = 60_000_000n;
const kWeights = {
  createWorkflow: 4, workflowLimit: 2, organizationLimit: 4, subjectLimit: 4, price: 2, calculate: 3, check: 4, hold: 24,
  holdAgain: 3, settleHeld: 18, settle: 9, settleAgain: 5, settleOtherwise: 3, settleEnded: 2, release: 5, extend: 4,
  expire: 3, adjust: 4, monthly: 2, budgets: 2, refund: 4, batch: 4, wrong: 4,
  grant: 4, openCall: 14, openAgain: 4, settleCall: 12, releaseCall: 3,
};
// Names that mean the same model.
const kVariants = [(m) => m, (m) => m.toUpperCase(), (m) => `${m}-latest`, (m) => `${m}:free`, (m) => `${m}-2024-07-18`,
  (m) => `acme/${m}`];

export class Operations {
  constructor(random, books, offered, organizations) {
    Object.assign(this, { random, books, offered });
    this.scoped = offered.get('hold_workflow_cost').has('p_tool');
    this.weights = { ...kWeights };
    if (!this.scoped) this.weights.subjectLimit = 0;
    if (!offered.has('get_budgets')) this.weights.budgets = 0;
    if (!offered.has('refund_usage')) this.weights.refund = 0;
    if (!offered.has('record_usage_batch')) this.weights.batch = 0;
    for (const [name, needed] of [['grant', 'grant_credits'], ['openCall', 'open_call'], ['openAgain', 'open_call'],
      ['settleCall', 'settle_call'], ['releaseCall', 'release_call']]) if (!offered.has(needed)) this.weights[name] = 0;
    this.organizations = organizations.map((id) => ({
      id, workflows: [], users: [1, 2, 3].map((n) => `user-${n}`), keys: [random.uuid(), random.uuid()],
      communities: [random.uuid(), random.uuid()], tools: ['resume-builder', 'ebook-creator'] }));
    this.calls = new CallOperations(this);
  }

  next() {
    for (;;) {
      const kind = this.random.weighted(this.weights);
      const operation = this[kind] ? this[kind]() : this.calls[kind]();
      if (operation) return operation;
    }
  }

  anyOrganization() {
    return this.random.pick(this.organizations);
  }

  openHold(organization) {
    const open = [...this.books.holds.values()].filter((hold) =>
      hold.status === 'open' && hold.organization === organization.id);
    return open.length > 0 ? this.random.pick(open) : null;
  }

  // Somebody of the organization: a workflow or none, and whom the call counts against.
  subject(organization, { workflow } = {}) {
    const { random } = this;
    const maybe = (list, percent) => (random.chance(percent) ? random.pick(list) : null);
    const subject = { organization: organization.id, workflow: workflow === undefined
      ? (random.chance(90) && organization.workflows.length > 0 ? random.pick(organization.workflows) : null) : workflow };
    subject.user = maybe(organization.users, 50);
    if (this.scoped) {
      subject.provider = maybe(['openai', 'acme'], 30);
      subject.api_key = maybe(organization.keys, 30);
      subject.community = maybe(organization.communities, 30);
      subject.tool = maybe(organization.tools, 20);
    }
    return subject;
  }

  subjectParameters(subject) {
    const parameters = { p_workflow_id: subject.workflow, p_organization_id: subject.organization,
      p_user_id: subject.user ?? undefined };
    if (this.scoped) Object.assign(parameters, { p_provider: subject.provider, p_api_key_id: subject.api_key,
      p_community_id: subject.community, p_tool: subject.tool });
    return parameters;
  }

  ttl() {
    const { random } = this;
    const micros = random.weighted({ long: 80, instant: 12, short: 8 });
    if (micros === 'long') return BigInt(random.between(10, 60)) * kMinute;
    return BigInt(micros === 'instant' ? random.between(1, 500) : random.between(2_000, 300_000));
  }

  // Budgets and workflows -----------------------------------------------------------------------------------------

  createWorkflow() {
    const organization = this.anyOrganization();
    const limit = this.random.chance(30) ? null : this.random.amount(4_000_000);
    return {
      name: 'create_workflow',
      parameters: { p_organization_id: organization.id, p_cost_limit: text(limit) ?? undefined,
        p_workflow_data: this.random.chance(50) ? '{"topic": "rope", "total_ai_cost": 99}' : undefined },
      predict: () => {
        const prediction = this.books.createWorkflow({ organization: organization.id, limit });
        return { ...prediction, apply: (row) => {
          prediction.apply(row);
          organization.workflows.push(row.create_workflow);
          if (organization.workflows.length > 6) organization.workflows.shift();
        } };
      },
    };
  }

  workflowLimit() {
    const organization = this.anyOrganization();
    if (organization.workflows.length === 0) return null;
    const workflow = this.random.pick(organization.workflows);
    const limit = this.random.amount(5_000_000);
    return {
      sql: 'UPDATE holdfast.intent_workflows SET cost_limit = $2::numeric WHERE id = $1::uuid',
      values: [workflow, text(limit)],
      predict: () => this.books.setWorkflowLimit({ workflow, limit }),
    };
  }

  setBudget(organization, budget) {
    return {
      name: 'set_budget',
      parameters: { p_organization_id: organization.id, p_limit_usd: text(budget.limit), p_scope: budget.scope,
        p_subject: budget.subject, p_period: budget.period, ...this.adviceParameters(budget.advice) },
      predict: (now) => this.books.setBudget({ organization: organization.id, ...budget }, now),
    };
  }

  adviceParameters({ soft, downgradeAt, downgradeModel } = {}) {
    return { p_soft_limit_usd: text(soft ?? null) ?? undefined, p_downgrade_at_usd: text(downgradeAt ?? null) ?? undefined,
      p_downgrade_model: downgradeModel };
  }

  // A warning and a cheaper model from some share of the limit on.
  anAdvice(limit) {
    const { random } = this;
    const share = () => (limit === null ? random.amount(2_000_000) : limit * BigInt(random.between(30, 100)) / 100n);
    const advice = {};
    if (random.chance(30)) advice.soft = share();
    if (random.chance(25)) Object.assign(advice, { downgradeAt: share(), downgradeModel: random.pick(['gpt-4o-mini', 'command-r', ...this.models()]) });
    return advice;
  }

  // Raised most of the time, so that calls go on; lowered below what is spent now and then; lifted.
  aLimit(counter) {
    const kind = this.random.weighted({ raise: 70, lower: 20, lift: 10 });
    if (kind === 'lift') return null;
    const spent = counter ? counter.spent : 0n;
    return kind === 'raise' ? (spent > 0n ? spent : 0n) + this.random.amount(3_000_000) : this.random.amount(1_000_000);
  }

  organizationLimit() {
    const organization = this.anyOrganization();
    const counters = [...this.books.counters.values()].filter((counter) => counter.budget.id === organization.id);
    const limit = this.aLimit(counters[0]);
    return this.setBudget(organization, { limit, advice: this.anAdvice(limit) });
  }

  subjectLimit() {
    const { random } = this;
    const organization = this.anyOrganization();
    const scope = random.pick(['user', 'api_key', 'community', 'provider', 'tool', 'workflow', 'organization']);
    const subjects = { user: organization.users, api_key: organization.keys, community: organization.communities,
      provider: ['openai', 'acme'], tool: organization.tools, workflow: organization.workflows, organization: [''] };
    if (subjects[scope].length === 0) return null;
    const subject = random.pick(subjects[scope]);
    const period = random.pick(scope === 'workflow' ? ['day', 'week', 'month'] : ['none', 'day', 'week', 'month']);
    const known = this.books.budgets.get(this.books.budgetKey(organization.id, scope, subject, period));
    const counters = [...this.books.counters.values()].filter((counter) => counter.budget === known);
    const limit = this.aLimit(counters[0]);
    return this.setBudget(organization, { scope, subject, period, limit, advice: this.anAdvice(limit) });
  }

  // Credits given, taken back, and given again under the same key.
  grant() {
    const { random } = this;
    const organization = this.anyOrganization();
    const account = random.chance(60) ? `user:${random.pick(organization.users)}` : `community:${random.pick(organization.communities)}`;
    const again = [...this.books.grants].filter(([name]) => name.startsWith(organization.id));
    const key = again.length > 0 && random.chance(20) ? random.pick(again)[0].split('/')[1] : random.chance(50) ? random.uuid() : null;
    const known = key === null ? undefined : this.books.grants.get(`${organization.id}/${key}`);
    const credits = 100n * random.amount(2_500_000) * (random.chance(75) ? 1n : -1n);
    const args = { organization: organization.id, account, credits, key, ...(random.chance(80) ? known : {}) };
    return {
      name: 'grant_credits',
      parameters: { p_organization_id: args.organization, p_account: args.account, p_credits: text(args.credits),
        p_idempotency_key: args.key },
      predict: (now) => this.books.grant(args, now),
    };
  }

  monthly() {
    const organization = this.anyOrganization();
    return {
      name: 'get_organization_monthly_ai_cost', parameters: { p_organization_id: organization.id },
      predict: (now) => this.books.monthlyCost({ organization: organization.id }, now),
    };
  }

  budgets() {
    const organization = this.anyOrganization();
    return {
      name: 'get_budgets', parameters: { p_organization_id: organization.id },
      judge: (answer, now) => {
        if (answer.error) throw new Mismatch(answer.error.message);
        this.books.judgeBudgets({ organization: organization.id }, answer.rows, now);
      },
    };
  }

  check() {
    const organization = this.anyOrganization();
    if (organization.workflows.length === 0) return null;
    const args = { workflow: this.random.pick(organization.workflows), estimate: this.random.amount(2_000_000),
      limit: this.random.chance(30) ? this.random.amount(3_000_000) : null };
    return {
      name: 'check_workflow_cost_limit',
      parameters: { p_workflow_id: args.workflow, p_estimated_cost: text(args.estimate), p_limit: text(args.limit) },
      predict: (now) => this.books.checkLimit(args, now),
    };
  }

  // Prices --------------------------------------------------------------------------------------------------------

  models() {
    return [...new Set(this.books.prices.list.filter((price) => price.provider === 'acme').map((price) => price.model))];
  }

  modelName() {
    const { random } = this;
    const plainModel = random.weighted({ known: 70, unpriced: 10, acme: 20 });
    if (plainModel === 'unpriced') return { model: 'in-house', plainModel: 'in-house' };
    const plain = plainModel === 'acme' && this.models().length > 0 ? random.pick(this.models())
      : random.pick(['gpt-4o-mini', 'sonar-none', 'mistral-large', 'llama-3.1-70b', 'command-r']);
    return { model: random.pick(kVariants)(plain), plainModel: plain };
  }

  // A new model, or a later (or earlier, or coming) price of one that is known.
  price() {
    const { random } = this;
    const known = this.models();
    const model = known.length > 0 && random.chance(70) ? random.pick(known) : `rope-${'abcdefgh'[known.length % 8]}-large`;
    const from = `${random.between(2021, 2024)}-0${random.between(1, 9)}-1${random.between(0, 9)}`;
    const day = random.chance(15) ? '2999-01-01' : from;
    if (this.books.prices.list.some((price) => price.model === model && price.from === day)) return null;
    const rate = () => text(random.amount(30_000_000) / 10n ** 8n * 10n ** 8n);
    const values = ['acme', model, rate(), rate(), random.chance(50) ? rate() : null, random.chance(30) ? rate() : null,
      random.chance(30) ? rate() : null, text(random.chance(30) ? random.amount(10_000) / 100n * 100n : 0n), day];
    return {
      sql: `INSERT INTO holdfast.ai_provider_pricing (provider, model, cost_per_1m_input, cost_per_1m_output,
        cost_per_1m_cached_input, cost_per_1m_cache_write, cost_per_1m_reasoning, cost_per_request, effective_date)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING *`,
      values,
      predict: () => ({ row: { model }, apply: (row) => this.books.prices.add(this.books.prices.constructor.fromRow(row)) }),
    };
  }

  tokens() {
    const { random } = this;
    const tokens = { prompt: random.between(0, 20_000), completion: random.between(0, 4_000) };
    if (random.chance(40)) {
      tokens.cached = random.between(0, tokens.prompt);
      tokens.written = random.between(0, tokens.prompt - tokens.cached);
      tokens.reasoning = random.between(0, tokens.completion);
    }
    return tokens;
  }

  tokenParameters(tokens) {
    return { p_prompt_tokens: tokens.prompt, p_completion_tokens: tokens.completion,
      p_cached_tokens: tokens.cached || undefined,
      p_cache_write_tokens: tokens.written || undefined, p_reasoning_tokens: tokens.reasoning || undefined };
  }

  calculate() {
    const tokens = this.tokens();
    const name = this.modelName();
    const provider = this.random.chance(30) ? 'acme' : null;
    return {
      name: 'calculate_cost',
      parameters: { p_provider: provider, p_model: name.model, ...this.tokenParameters(tokens) },
      predict: (now) => this.books.calculate({ provider, ...name, ...tokens }, now),
    };
  }

  // Holds ---------------------------------------------------------------------------------------------------------

  holdOf(args) {
    return {
      name: 'hold_workflow_cost',
      parameters: { ...this.subjectParameters(args), p_estimated_cost: text(args.estimate), p_limit: text(args.limit),
        p_ttl: `${args.ttl} microseconds`, p_idempotency_key: args.key },
      predict: (now) => this.books.hold(args, now),
    };
  }

  hold() {
    const { random } = this;
    return this.holdOf({ ...this.subject(this.anyOrganization()), estimate: random.amount(700_000), ttl: this.ttl(),
      limit: random.chance(20) ? random.amount(2_000_000) : null, key: random.chance(40) ? random.uuid() : null });
  }

  holdAgain() {
    const { random } = this;
    const known = [...this.books.holds.values()];
    if (known.length === 0) return null;
    const hold = random.pick(known.slice(-40));
    const organization = this.organizations.find(({ id }) => id === hold.organization);
    return this.holdOf({ ...this.subject(organization, { workflow: hold.workflow }), limit: null, ttl: this.ttl(),
      estimate: random.chance(75) ? hold.amount : hold.amount + 1n, key: hold.id });
  }

  release() {
    const organization = this.anyOrganization();
    const hold = this.openHold(organization);
    if (!hold) return null;
    return { name: 'release_hold', parameters: { p_hold_id: hold.id, p_organization_id: organization.id },
      predict: (now) => this.books.release({ hold: hold.id, organization: organization.id }, now) };
  }

  extend() {
    const organization = this.anyOrganization();
    const hold = this.openHold(organization);
    if (!hold) return null;
    const ttl = this.ttl();
    return { name: 'extend_hold',
      parameters: { p_hold_id: hold.id, p_organization_id: organization.id, p_ttl: `${ttl} microseconds` },
      predict: (now) => this.books.extend({ hold: hold.id, organization: organization.id, ttl }, now) };
  }

  expire() {
    return { name: 'expire_holds', parameters: { p_most: this.random.pick([10_000, undefined]) },
      predict: (now) => this.books.expire({ most: 1000 }, now) };
  }

  // Settlements ---------------------------------------------------------------------------------------------------

  settleArgs(subject, hold, cost) {
    const { random } = this;
    const name = cost === null || random.chance(50) ? this.modelName() : { model: 'in-house', plainModel: 'in-house' };
    const tokens = this.tokens();
    if (!this.scoped) for (const kind of ['cached', 'written', 'reasoning']) delete tokens[kind];
    return { ...subject, ...name, ...tokens, cost, hold: hold ? hold.id : null,
      key: random.chance(60) ? random.uuid() : null, metadata: random.chance(20) ? { step: random.between(1, 9) } : {} };
  }

  settleParameters(args) {
    return { ...this.subjectParameters(args), p_model: args.model, ...this.tokenParameters(args), p_cost: text(args.cost),
      p_idempotency_key: args.key, p_hold_id: args.hold,
      p_metadata: args.metadata && Object.keys(args.metadata).length > 0 ? JSON.stringify(args.metadata) : undefined };
  }

  settlement(args) {
    return { name: 'record_usage_and_increment', parameters: this.settleParameters(args),
      predict: (now) => this.books.settle(args, now) };
  }

  // Below, at or above what was held; or by the price.
  settleHeld() {
    const { random } = this;
    const organization = this.anyOrganization();
    const hold = this.openHold(organization);
    if (!hold) return null;
    const cost = random.weighted({ below: 60, at: 10, above: 10, priced: 20 });
    const amount = { below: hold.amount * BigInt(random.between(0, 100)) / 100n, at: hold.amount,
      above: hold.amount + random.amount(300_000), priced: null }[cost];
    return this.settlement(this.settleArgs(this.subject(organization, { workflow: hold.workflow }), hold, amount));
  }

  settle() {
    const { random } = this;
    return this.settlement(this.settleArgs(this.subject(this.anyOrganization()), null,
      random.chance(60) ? random.amount(200_000) : null));
  }

  settleEnded() {
    const ended = [...this.books.holds.values()].filter((hold) => hold.status !== 'open').slice(-30);
    if (ended.length === 0) return null;
    const hold = this.random.pick(ended);
    const organization = this.organizations.find(({ id }) => id === hold.organization);
    return this.settlement(this.settleArgs(this.subject(organization, { workflow: hold.workflow }), hold,
      this.random.amount(100_000)));
  }

  // The parameters of an earlier settlement under a key; some of its keys are older than anything cached.
  earlier() {
    const keyed = this.books.entries.filter((entry) => entry.key !== null && entry.kind === 'usage');
    if (keyed.length === 0) return null;
    const entry = this.random.pick(this.random.chance(50) ? keyed.slice(-20) : keyed);
    return { ...entry.subject, ...entry.tokens, model: entry.model, plainModel: entry.model, key: entry.key,
      hold: entry.hold, cost: this.random.chance(50) ? entry.cost : null, metadata: entry.metadata };
  }

  settleAgain() {
    const args = this.earlier();
    if (args && this.random.chance(50)) args.provider = null;
    return args && this.settlement(args);
  }

  settleOtherwise() {
    const args = this.earlier();
    if (!args) return null;
    const change = this.random.pick([{ prompt: args.prompt + 1 }, { completion: args.completion + 1 },
      { model: `${args.model}-other` }, { cost: (args.cost ?? 0n) + 1n + 10n ** 24n }, { user: 'somebody-else' }]);
    return this.settlement({ ...args, ...change });
  }

  adjust() {
    const { random } = this;
    const organization = this.anyOrganization();
    if (organization.workflows.length === 0) return null;
    const workflow = random.pick(organization.workflows);
    const amount = random.amount(300_000) * (random.chance(50) ? 1n : -1n);
    return { name: 'increment_workflow_cost', parameters: { p_workflow_id: workflow, p_amount: text(amount) },
      predict: (now) => this.books.adjust({ workflow, amount }, now) };
  }

  // A random part of an entry, or the rest; now and then more than is left, or an entry that cannot be refunded.
  refund() {
    const { random } = this;
    const known = this.books.entries.filter((entry) => entry.id !== null && entry.kind !== 'adjustment').slice(-60);
    if (known.length === 0) return null;
    const entry = random.pick(known);
    const part = random.weighted({ part: 50, rest: 30, more: 10, nothing: 5 });
    const amount = { part: entry.cost * BigInt(random.between(1, 100)) / 100n, rest: null, more: entry.cost + 1n,
      nothing: 0n }[part];
    const args = { entry: entry.id, organization: entry.subject.organization, amount };
    return {
      name: 'refund_usage',
      parameters: { p_ledger_id: entry.id, p_organization_id: args.organization, p_amount: text(amount),
        p_reason: random.chance(50) ? 'came back empty' : undefined },
      predict: (now) => this.books.refund(args, now),
    };
  }

  // Settlements of one organization in one call: each as it would have been alone, one after the other.
  batch() {
    const { random } = this;
    const organization = this.anyOrganization();
    const wanted = [];
    for (let left = random.between(1, 8); left > 0; left -= 1) {
      const kind = random.weighted({ fresh: 50, held: 30, again: 10, twice: 10 });
      const hold = kind === 'held' ? this.openHold(organization) : null;
      const earlier = kind === 'again' ? this.earlier() : null;
      if (kind === 'twice' && wanted.length > 0) wanted.push({ ...random.pick(wanted) });
      else if (earlier && earlier.organization === organization.id) wanted.push(earlier);
      else wanted.push(this.settleArgs(this.subject(organization, hold ? { workflow: hold.workflow } : {}), hold,
        random.chance(70) ? random.amount(100_000) : null));
    }
    return {
      name: 'record_usage_batch',
      parameters: { p_organization_id: organization.id, p_entries: `[${wanted.map((args) => this.batchEntry(args)).join(', ')}]` },
      judge: (answer, now) => this.judgeBatch(organization, wanted, answer, now),
    };
  }

  // The single call's parameters without p_; money as text or as a JSON number of any length.
  batchEntry(args) {
    const parameters = Object.entries(this.settleParameters(args)).filter(([name, value]) =>
      value !== undefined && value !== null && name !== 'p_organization_id');
    return `{${parameters.map(([name, value]) => {
      const bare = name === 'p_metadata' || (name === 'p_cost' && args.prompt % 2 === 0);
      return `"${name.slice(2)}": ${bare ? value : JSON.stringify(value)}`;
    }).join(', ')}}`;
  }

  judgeBatch(organization, wanted, answer, now) {
    if (answer.error) throw new Mismatch(`a batch was refused: ${answer.error.code} ${answer.error.message}`);
    if (answer.rows.length !== wanted.length) throw new Mismatch(`${answer.rows.length} results of ${wanted.length} entries`);
    const before = this.books.entries.length;
    const later = [];
    answer.rows.forEach((row, i) => {
      if (row.entry !== String(i + 1)) throw new Mismatch(`result ${i + 1} is of entry ${row.entry}`);
      const one = row.sqlstate === null ? { row, done: answer.done } : { error: { code: row.sqlstate, message: row.error } };
      try {
        const prediction = this.books.settle({ ...wanted[i] }, now);
        if (prediction.unheld && one.row) {
          later.push({ row, ...prediction.unheld });
          delete prediction.row.overrun;
        }
        judge(prediction, one);
      } catch (error) {
        throw new Mismatch(`entry ${row.entry}: ${error.message}`);
      }
    });
    this.books.overrunsOfBatch(later, now).forEach(({ low, high }, i) => {
      const { row } = later[i];
      const overrun = usd(row.overrun);
      if (overrun < low || overrun > high)
        throw new Mismatch(`entry ${row.entry}: overrun is ${row.overrun}, expected ${text(low)} to ${text(high)}`);
    });
    // A batch is written in the order of its ids, so that two of them never wait for each other.
    const written = this.books.entries.splice(before);
    this.books.entries.push(...written.sort((a, b) => (a.id < b.id ? -1 : 1)));
  }

  // What must be refused ------------------------------------------------------------------------------------------

  wrong() {
    const { random } = this;
    const organization = this.anyOrganization();
    const other = this.organizations.find(({ id }) => id !== organization.id);
    const hold = this.openHold(other);
    const args = this.settleArgs(this.subject(organization), null, random.amount(1000));
    return random.pick([
      () => this.settlement({ ...args, workflow: random.uuid() }),
      () => other.workflows.length > 0 && this.settlement({ ...args, workflow: random.pick(other.workflows) }),
      () => this.settlement({ ...args, hold: hold ? hold.id : random.uuid() }),
      () => this.settlement({ ...args, cost: -1n }),
      () => this.settlement({ ...args, prompt: -1 }),
      () => this.settlement({ ...args, completion: 100_000_001 }),
      () => this.settlement({ ...args, model: 'nobody-has-this', plainModel: 'nobody-has-this', cost: null }),
      () => this.holdOf({ ...this.subject(organization, { workflow: random.uuid() }), estimate: usd('0.1'), limit: null,
        ttl: kMinute, key: null }),
      () => this.holdOf({ ...this.subject(organization), estimate: -1n, limit: null, ttl: kMinute, key: null }),
      () => this.holdOf({ ...this.subject(organization), estimate: 1n, limit: -1n, ttl: kMinute, key: null }),
      () => this.holdOf({ ...this.subject(organization), estimate: 1n, limit: null, ttl: -kMinute, key: null }),
      () => ({ name: 'release_hold', parameters: { p_hold_id: hold ? hold.id : random.uuid(), p_organization_id: organization.id },
        predict: () => ({ error: ['PT404'] }) }),
      () => ({ name: 'increment_workflow_cost', parameters: { p_workflow_id: random.uuid(), p_amount: '1' },
        predict: () => ({ error: ['PT404'] }) }),
      () => this.setBudget(organization, { limit: -1n }),
    ])() || null;
  }
}
