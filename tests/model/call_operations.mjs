// Random governed calls: opened, repeated, settled, released, by an API key of each organization.

import { createHash } from 'node:crypto';
import { Calls } from './calls.mjs';
import { text } from './usd.mjs';

const bytes = (value) => `\\x${createHash('sha256').update(value).digest('hex')}`;
const kProviders = [['openai'], ['acme'], ['acme', 'openai'], ['together', 'deepinfra'], ['sandbox'], ['mistral', 'cohere', 'acme']];

export class CallOperations {
  constructor(operations) {
    Object.assign(this, { operations, random: operations.random, books: operations.books, calls: new Calls(operations.books), opened: [] });
  }

  // Each organization's API key, made once.
  async prepare(session) {
    for (const organization of this.operations.organizations) {
      const user = this.random.chance(50) ? organization.users[0] : null;
      const [row] = await session.call('create_api_key', { p_organization_id: organization.id, p_name: 'model', p_user_id: user });
      this.calls.keys.set(organization.id, { id: row.api_key_id, user, hash: bytes(row.api_key) });
      organization.keys.push(row.api_key_id);
    }
  }

  openArgs() {
    const { random, operations } = this;
    const organization = operations.anyOrganization();
    const { provider, ...subject } = operations.subject(organization);
    const asks = random.chance(40) ? { provider: random.pick(['openai', 'acme', 'mistral']), providers: null }
      : { provider: null, providers: random.pick(kProviders) };
    return { ...subject, ...asks, ...operations.modelName(), prompt: random.between(0, 20_000),
      completion: random.weighted({ usual: 70, large: 30 }) === 'usual' ? random.between(0, 4000) : random.between(4000, 600_000),
      key: random.chance(50) ? `call-${random.between(1, 1_000_000)}` : null, fingerprint: String(random.between(1, 2)),
      ttl: operations.ttl(), sizing: random.weighted({ strict: 50, clamp: 30, estimate: 20 }) };
  }

  open(args) {
    return {
      name: 'open_call',
      parameters: { p_organization_id: args.organization, p_key_hash: this.calls.keys.get(args.organization).hash,
        p_model: args.model, p_prompt_tokens: args.prompt, p_completion_tokens: args.completion,
        p_provider: args.provider, p_providers: args.providers ?? undefined, p_workflow_id: args.workflow,
        p_user_id: args.user ?? undefined, p_idempotency_key: args.key ?? undefined,
        p_fingerprint: args.key === null ? undefined : bytes(args.fingerprint), p_ttl: `${args.ttl} microseconds`,
        p_sizing: args.sizing, p_community_id: args.community, p_tool: args.tool },
      judge: (answer, now) => {
        this.calls.judgeOpen(args, answer, now);
        if (args.key !== null) this.opened.push(args);
      },
    };
  }

  openCall() {
    return this.open(this.openArgs());
  }

  // The same key once more: the same request, or another.
  openAgain() {
    if (this.opened.length === 0) return null;
    const args = this.random.pick(this.opened.slice(-30));
    return this.open(this.random.chance(80) ? args : { ...args, fingerprint: `${args.fingerprint}!` });
  }

  aHold() {
    const holds = [...this.books.holds.values()];
    const open = holds.filter((hold) => hold.status === 'open');
    return this.random.chance(85) && open.length > 0 ? this.random.pick(open) : this.random.pick(holds.slice(-40));
  }

  settleCall() {
    const { random, operations } = this;
    if (this.books.holds.size === 0) return null;
    const hold = this.aHold();
    const args = { organization: hold.organization, hold: random.chance(97) ? hold.id : random.uuid(),
      ...operations.modelName(), ...operations.tokens(), answer: random.chance(70) ? `answer ${random.between(1, 99)}` : null };
    const first = this.books.entryById.get(`${hold.organization}/${hold.id}`);
    if (first && random.chance(70)) Object.assign(args, first.tokens, { model: first.model, plainModel: first.model });
    return this.settle(args);
  }

  settle(args) {
    return {
      name: 'settle_call',
      parameters: { p_organization_id: args.organization, p_hold_id: args.hold, p_model: args.model,
        ...this.operations.tokenParameters(args), p_reported_cost: this.random.chance(20) ? text(this.random.amount(10_000)) : undefined,
        p_answer_status: args.answer === null ? undefined : 200, p_answer: args.answer ?? undefined },
      judge: (answer, now) => this.calls.judgeSettle(args, answer, now),
    };
  }

  releaseCall() {
    if (this.books.holds.size === 0) return null;
    const hold = this.aHold();
    const args = { organization: hold.organization, hold: this.random.chance(95) ? hold.id : this.random.uuid() };
    return { name: 'release_call', parameters: { p_organization_id: args.organization, p_hold_id: args.hold },
      judge: (answer, now) => this.calls.judgeRelease(args, answer, now) };
  }
}
