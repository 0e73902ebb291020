// Governed calls: opened before the provider is asked, settled or released after. What a hold and a settlement do is in
// the books; here is what comes before and after.

import { day } from './books.mjs';
import { judge, Mismatch } from './judge.mjs';
import { mostOf } from './prices.mjs';
import { text, usd } from './usd.mjs';

const kEnoughToEstimate = 20; // calls

const must = (truth, what) => {
  if (!truth) throw new Mismatch(what);
};

export class Calls {
  constructor(books) {
    this.books = books;
    this.keys = new Map(); // by organization: the API key
    this.byKey = new Map(); // by organization and idempotency key: { fingerprint, hold, answer }
  }

  // Opening -------------------------------------------------------------------------------------------------------

  judgeOpen(args, answer, now) {
    const { row } = answer;
    const name = `${args.organization}/${args.key}`;
    const earlier = args.key === null ? undefined : this.byKey.get(name);
    if (earlier && earlier.fingerprint !== args.fingerprint) return judge({ error: ['PT409'] }, answer);
    if (earlier?.answer) return this.judgeReplay(earlier, answer);
    const hold = earlier && this.books.holds.get(`${args.organization}/${earlier.hold}`);
    if (hold && hold.status === 'open' && hold.expires > now)
      return judge({ row: { outcome: 'in_flight', hold_id: null, retry_after_ms: (ms) => Number(ms) > 0 }, apply() {} }, answer);
    this.judgeDecision(args, answer, now);
    if (args.key !== null && row?.outcome === 'granted') this.byKey.set(name, { fingerprint: args.fingerprint, hold: row.hold_id, answer: null });
    if (args.key !== null && row?.outcome === 'denied') this.byKey.delete(name);
    return undefined;
  }

  judgeReplay({ answer: first, hold }, answer) {
    const entry = [...this.books.entries].reverse().find((one) => one.id === hold);
    judge({ row: { outcome: 'replay', hold_id: null, answer_status: String(first.status), answer: first.text,
      estimated_cost: (cost) => usd(cost) === entry.cost }, apply() {} }, answer);
  }

  // The model that the call may be sent to: the one asked for, or that of a budget whose threshold is passed.
  mayBeAsked(args, subject, now) {
    const { certain, possible } = this.books.reached(subject, 'downgradeAt', now);
    const names = possible.map(({ budget }) => ({ model: budget.downgradeModel, plainModel: budget.downgradeModel }));
    return certain.length > 0 ? names : [{ model: args.model, plainModel: args.plainModel }, ...names];
  }

  // The cheapest price of the providers that may be asked; null where none of them has one.
  offer({ provider, providers, prompt, completion }, plainModel, now) {
    const cost = ({ price }) => mostOf(price, prompt, completion);
    return (provider === null ? providers : [provider])
      .map((one) => ({ provider: one, price: this.books.prices.find(one, plainModel, day(now)) }))
      .filter(({ price }) => price !== null)
      .reduce((best, offer) => (best === null || cost(offer) < cost(best) ? offer : best), null);
  }

  judgeDecision(args, answer, now) {
    const key = this.keys.get(args.organization);
    const subject = { organization: args.organization, workflow: args.workflow, user: args.user ?? key.user,
      provider: args.provider, api_key: key.id, community: args.community, tool: args.tool };
    const models = this.mayBeAsked(args, subject, now);
    if (answer.error) {
      const faults = [...(this.books.refusedWorkflow(subject)?.error ?? [])];
      if (models.some(({ plainModel }) => this.offer(args, plainModel, now) === null)) faults.push('PT422');
      return judge({ error: faults }, answer);
    }
    const { row } = answer;
    const model = models.find((one) => one.model === row.model);
    must(model, `the call goes to ${row.model}, expected ${models.map((one) => one.model).join(' or ')}`);
    const offer = this.offer(args, model.plainModel, now);
    must(offer, `the model ${row.model} has no price that the call could be held for`);
    must(row.provider === offer.provider, `provider is ${row.provider}, expected ${offer.provider}`);
    this.judgeWarning(subject, row, now);
    return this.judgeHold(args, { ...subject, provider: offer.provider }, offer.price, answer, now);
  }

  judgeWarning(subject, row, now) {
    const { certain, possible } = this.books.reached(subject, 'soft', now);
    const right = row.warning === null ? certain.length === 0 : possible.some(({ budget }) => budget.scope === row.warning);
    must(right, `warning is ${row.warning}, expected one of ${possible.map(({ budget }) => budget.scope)}`);
  }

  // Of what is to be held: the most it can cost, the most that is left, or what such calls usually cost.
  judgeSize(args, subject, price, row, now) {
    const worst = mostOf(price, args.prompt, args.completion);
    const amount = usd(row.estimated_cost);
    const completion = Number(row.completion_tokens);
    if (args.sizing === 'clamp' && (row.outcome === 'denied' || completion !== args.completion))
      return this.judgeClamped(args, this.room(subject, now), price, row);
    must(completion === args.completion, `completion_tokens is ${completion}, expected ${args.completion}`);
    if (args.sizing !== 'estimate' || amount === worst) {
      must(amount === worst, `estimated_cost is ${row.estimated_cost}, expected ${text(worst)}`);
      return undefined;
    }
    const such = this.books.entries.filter((entry) => entry.subject.organization === args.organization && entry.priceId === price.id);
    must(such.length >= kEnoughToEstimate && amount < worst && such.some((entry) => entry.cost === amount),
      `estimated_cost is ${row.estimated_cost}, which none of ${such.length} such calls has cost`);
    return undefined;
  }

  // What is left of the tightest budget; null where none has a limit.
  room(subject, now, heldOf = (counter) => this.books.reserved(counter, now)) {
    return this.books.countersOf(subject, now).filter(({ budget }) => budget.limit !== null)
      .map((counter) => counter.budget.limit - counter.spent - heldOf(counter))
      .reduce((least, left) => (least === null || left < least ? left : least), null);
  }

  // The most tokens that what is left pays for: not one more, and not one less.
  judgeClamped({ prompt, completion: wanted }, room, price, row) {
    must(room !== null && mostOf(price, prompt, wanted) > room, 'a call was clamped that fits');
    if (row.outcome === 'denied') {
      must(mostOf(price, prompt, 1) > room, `denied, though ${text(room)} pays for some tokens`);
      return;
    }
    const completion = Number(row.completion_tokens);
    must(completion >= 1 && completion < wanted && mostOf(price, prompt, completion) <= room &&
      mostOf(price, prompt, completion + 1) > room, `completion_tokens is ${completion}, which is not what ${text(room)} pays for`);
    must(usd(row.estimated_cost) === mostOf(price, prompt, completion), 'a clamped call holds another amount than it can cost');
  }

  judgeHold(args, subject, price, answer, now) {
    const { row } = answer;
    this.judgeSize(args, subject, price, row, now);
    const granted = row.outcome === 'granted';
    must(granted || row.outcome === 'denied', `outcome is ${row.outcome}`);
    const hold = { ...subject, estimate: usd(row.estimated_cost), limit: null, ttl: args.ttl, key: null, brief: true };
    const remaining = row.limit_usd === null ? null : usd(row.limit_usd) - usd(row.spent) - usd(row.held);
    must(remaining === null ? row.remaining === null : usd(row.remaining) === remaining, `remaining is ${row.remaining}`);
    must(row.user_id === subject.user, `user_id is ${row.user_id}, expected ${subject.user}`);
    judge(this.books.hold(hold, now), { ...answer, row: { ...row, granted: granted ? 't' : 'f' } });
    if (granted) this.books.holds.get(`${args.organization}/${row.hold_id}`).callKey = args.key;
  }

  // Ending --------------------------------------------------------------------------------------------------------

  judgeSettle(args, answer, now) {
    const hold = this.books.holds.get(`${args.organization}/${args.hold}`);
    if (!hold) return judge({ error: ['PT404'] }, answer);
    judge(this.books.settle({ ...hold.subject, ...args, key: args.hold, cost: null }, now), answer);
    if (answer.error) return undefined;
    const known = this.byKey.get(`${args.organization}/${hold.callKey}`);
    if (args.answer !== null && known?.hold === hold.id) known.answer = { status: 200, text: args.answer };
    return this.judgeRemaining(hold.subject, answer, now);
  }

  judgeRemaining(subject, { row, done }, now) {
    const low = this.room(subject, now, (counter) => this.books.held(counter));
    const high = this.room(subject, done);
    const right = low === null ? row.remaining === null : usd(row.remaining) >= low && usd(row.remaining) <= high;
    must(right, `remaining is ${row.remaining}, expected ${text(low)} to ${text(high)}`);
  }

  judgeRelease({ organization, hold: id }, answer, now) {
    const hold = this.books.holds.get(`${organization}/${id}`);
    if (!hold) return judge({ error: ['PT404'] }, answer);
    const ends = hold.status === 'open' && hold.expires > now;
    return judge({ row: { release_call: ends ? 't' : 'f' }, apply: () => {
      if (!ends) return;
      this.books.endHold(hold, 'released');
      const known = this.byKey.get(`${organization}/${hold.callKey}`);
      if (known?.hold === id && known.answer === null) this.byKey.delete(`${organization}/${hold.callKey}`);
    } }, answer);
  }
}
