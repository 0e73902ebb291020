// The seven steps of a workflow over HTTP: one winner, one charge, results that fit, retries, reviews, cancelling.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, afterEach, before, test } from 'node:test';
import { Provider, WebhookServer, kUsage } from './support/answering.mjs';
import { Gateway } from './support/gateway.mjs';
import { IntentClient, kInput, kSteps } from './support/intent.mjs';
import { World } from './support/world.mjs';

const kSecret = 'webhook-secret-that-nobody-may-see';

let world;
let provider;
let webhook;
before(async () => {
  provider = await Provider.start();
  webhook = await WebhookServer.start();
  world = await World.create();
  world.gateway = await world.startGateway({
    flags: ['--run-steps', '4'],
    env: {
      OPENAI_BASE_URL: provider.baseUrl,
      PERPLEXITY_BASE_URL: provider.baseUrl,
      PERPLEXITY_API_KEY: 'perplexity-key',
      HOLDFAST_PUBLISH_WEBHOOK_URL: `${webhook.origin}/articles`,
      HOLDFAST_PUBLISH_WEBHOOK_SECRET: kSecret,
    },
  });
});
afterEach(async () => {
  await world.takeEntries(); // each test has looked at its own
  await world.verify();
});
after(async () => {
  await world.close();
  await provider.stop();
  await webhook.stop();
});

const entriesOf = (workflow) =>
  world.database.query(
    `SELECT provider, model, prompt_tokens AS prompt, completion_tokens AS completion, fallback_used AS fallback, cost::text,
            metadata ->> 'step' AS step
       FROM holdfast.ai_usage_ledger WHERE workflow_id = $1 ORDER BY created_at`,
    [workflow],
  );

test('from CREATED to COMPLETED in seven steps, each result under its name', async () => {
  const client = new IntentClient(world);
  const created = await client.create({ costLimitUSD: 2.5 });
  assert.deepEqual(
    [created.json.state, created.json.step, created.json.status, created.json.openSteps, created.json.data.input],
    ['CREATED', 1, 'created', [1], kInput],
  );
  assert.match(created.text, /"costLimitUSD":2\.5[,}]/);
  for (const { step, to } of kSteps) {
    const done = await client.step(step, {});
    assert.equal(done.status, 200, done.text);
    assert.deepEqual([done.json.success, done.json.step, done.json.state], [true, step, to]);
    const shown = await client.get();
    assert.deepEqual(shown.data[step], done.json.result);
    assert.deepEqual([shown.state, shown.running, shown.failure], [to, null, null]);
    if (step === 'seed-extract') await client.review(shown.data[step]);
  }
  const shown = await client.get();
  assert.deepEqual(
    Object.keys(shown.data).sort(),
    [...kSteps.map(({ step }) => step), 'input', 'review', 'total_ai_cost'].sort(),
  );
  assert.deepEqual([shown.step, shown.status, shown.nextStates, shown.heldUSD], [7, 'completed', [], 0]);
  const stages = ['ICP', 'COMPETITOR', 'SEED_REVIEW', 'CLUSTERING', 'VALIDATION', 'ARTICLE', 'PUBLISH'];
  assert.deepEqual(
    shown.history.map(({ to }) => to).filter((to) => to.endsWith('COMPLETED')),
    [...stages.map((stage) => `${stage}_COMPLETED`), 'COMPLETED'],
  );
  const entries = await entriesOf(client.id);
  assert.deepEqual(
    entries.map(({ step, prompt, completion }) => [step, prompt, completion]),
    ['profile', 'competitors', 'seeds', 'clusters', 'validation', 'outline', 'draft'].map((step) => [step, kUsage.prompt, kUsage.completion]),
  );
  assert.deepEqual([entries[0].provider, entries[0].model, entries[2].provider], ['perplexity', 'sonar', 'openai']);
});

test('the ICP is asked for as it should be, and reads what came before', async () => {
  const client = new IntentClient(world);
  const asked = provider.next();
  await client.create();
  await client.step('icp-generate', { instructions: 'Only bakeries.' });
  const { body } = await asked.arrived;
  assert.deepEqual([body.model, body.max_tokens, body.temperature], ['sonar', 700, 0.3]);
  assert.equal(body.response_format.type, 'json_schema');
  assert.match(body.messages.at(-1).content, /Cargo bikes for couriers.*Only bakeries\./s);
  const next = provider.next();
  await client.step('competitor-analyze', { model: 'gpt-4o-mini', maxTokens: 900, temperature: 0 });
  const { body: second } = await next.arrived;
  assert.deepEqual([second.model, second.max_tokens, second.temperature], ['gpt-4o-mini', 900, 0]);
  assert.match(second.messages.at(-1).content, /"companySize"/);
});

for (const { step, from, pending, calls } of kSteps) {
  test(`twenty at once ask for ${step}: one gets it, once called and once charged`, async () => {
    const client = new IntentClient(world);
    await client.advanceTo(from);
    const before = { requests: provider.requests.length, entries: (await entriesOf(client.id)).length };
    const gate = calls > 0 ? provider.next({ waits: true }) : webhook.next({ waits: true });
    const answers = Array.from({ length: 20 }, () => client.step(step, {}));
    await gate.arrived;
    const refused = [];
    // All others are refused while the winner is at work.
    for (const answer of answers) answer.then((done) => done.status === 409 && refused.push(done));
      while (refused.length < 19) await new Promise(setImmediate);
    for (const { json } of refused) {
      assert.deepEqual([json.code, json.expectedState, json.attemptedState], ['wrong_state', from, pending], JSON.stringify(json));
      assert.ok(json.currentState === from || json.currentState === pending.replace('_PENDING', '_PROCESSING'), json.currentState);
    }
    gate.release();
    const statuses = (await Promise.all(answers)).map(({ status }) => status).sort();
    assert.deepEqual(statuses, [200, ...Array(19).fill(409)]);
    assert.equal(provider.requests.length - before.requests, calls);
    assert.equal((await entriesOf(client.id)).length - before.entries, calls);
  });
}

test('what cannot be done now is refused with the three states', async () => {
  const client = new IntentClient(world);
  await client.create();
  const early = await client.step('article', {});
  assert.equal(early.status, 409, early.text);
  assert.deepEqual(
    [early.json.currentState, early.json.expectedState, early.json.attemptedState],
    ['CREATED', 'VALIDATION_COMPLETED', 'ARTICLE_PENDING'],
  );
  const review = await client.post('review', { keywords: ['a'] });
  assert.deepEqual([review.status, review.json.expectedState], [409, 'SEED_REVIEW_PENDING'], review.text);
  assert.equal((await client.post('retry', {})).status, 409);
  assert.equal((await client.step('nonsense', {})).status, 404);
  assert.equal((await client.step('icp-generate', { temperature: 'hot' })).status, 400);
  assert.equal((await client.step('icp-generate', { maxTokens: 10001 })).status, 422);
  assert.equal((await client.post('review', { keywords: [] })).status, 400);
  assert.equal((await world.http('POST', '/api/intent/workflows', { body: { input: {} } })).status, 400);
  assert.equal((await world.http('POST', '/api/intent/workflows', { body: {} })).status, 400);
  assert.equal((await world.http('GET', `/api/intent/workflows/${world.organization.id}`)).status, 404);
  const stranger = await world.database.organization();
  for (const path of ['steps/icp-generate', 'review', 'retry', 'cancel'])
    assert.equal((await client.post(path, { keywords: ['a'] }, { key: stranger.key })).status, 404, path);
  assert.equal((await client.get()).state, 'CREATED');
});

test('under one key a workflow is made once, and a step done once', async () => {
  const client = new IntentClient(world);
  const headers = { 'idempotency-key': 'make-one' };
  const first = await client.create({}, { headers });
  const again = await client.create({}, { headers });
  assert.equal(again.json.workflowId, first.json.workflowId);
  assert.equal(again.headers.get('idempotent-replay'), 'true');
  assert.equal((await world.http('POST', '/api/intent/workflows', { body: { input: { business: 'x' } }, headers })).status, 409);

  const step = { headers: { 'idempotency-key': 'one-icp' } };
  const answers = await Promise.all([1, 2, 3].map(() => client.step('icp-generate', {}, step)));
  answers.push(await client.step('icp-generate', {}, step));
  for (const answer of answers) {
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual([answer.json.runId, answer.json.result], [answers[0].json.runId, answers[0].json.result]);
  }
  assert.equal(answers.at(-1).headers.get('idempotent-replay'), 'true');
  assert.equal((await client.step('icp-generate', { maxTokens: 5 }, step)).status, 409);
  assert.equal((await client.step('competitor-analyze', {}, step)).status, 409);
  assert.equal((await entriesOf(client.id)).length, 1);
});

test('the fallback stands in when perplexity fails, unless that is not wanted; a retry tries again', async () => {
  const client = new IntentClient(world);
  await client.create();
  provider.next({ status: 401 });
  const done = await client.step('icp-generate', {});
  assert.equal(done.status, 200, done.text);
  const [entry] = await entriesOf(client.id);
  assert.deepEqual([entry.provider, entry.model, entry.fallback], ['openai', 'gpt-4o-mini', true]);

  provider.next({ status: 401 });
  const failed = await client.step('competitor-analyze', { disableFallback: true });
  assert.equal(failed.status, 502, failed.text);
  assert.deepEqual([failed.json.code, failed.json.state, failed.json.step], ['provider_auth', 'COMPETITOR_FAILED', 'competitor-analyze']);
  const shown = await client.get();
  assert.deepEqual([shown.failure.step, shown.failure.code, shown.heldUSD], ['competitor-analyze', 'auth', 0]);
  assert.equal((await client.step('competitor-analyze', {})).json.currentState, 'COMPETITOR_FAILED');
  const asked = provider.next();
  const retried = await client.post('retry', {});
  assert.deepEqual([retried.status, retried.json.state], [200, 'COMPETITOR_COMPLETED'], retried.text);
  assert.equal((await asked.arrived).body.model, 'sonar');
  assert.equal((await client.get()).failure, null);
});

test('an answer that does not fit is asked for once more, with the fault; then the step has failed', async () => {
  const client = new IntentClient(world);
  await client.create();
  provider.next({ content: 'Sure! Here it is: {"summary": "short"}' });
  const again = provider.next();
  const done = await client.step('icp-generate', {});
  assert.equal(done.status, 200, done.text);
  assert.match((await again.arrived).body.messages.at(-1).content, /did not fit: The answer has no "industries"\./);
  assert.equal((await entriesOf(client.id)).length, 2);

  provider.next({ content: 'I would rather not.' });
  provider.next({ content: '[]' });
  const failed = await client.step('competitor-analyze', {});
  assert.deepEqual([failed.status, failed.json.code], [502, 'schema_mismatch'], failed.text);
  assert.match(failed.json.error, /The answer is array, not object\./);
  assert.equal((await client.get()).state, 'COMPETITOR_FAILED');
  assert.equal((await entriesOf(client.id)).length, 4);
});

test('an answer in a fence, with words round it, is read', async () => {
  const client = new IntentClient(world);
  await client.advanceTo('COMPETITOR_COMPLETED');
  const keywords = ['a', 'b', 'c', 'd', 'e'].map((keyword) => ({ keyword, intent: 'commercial', reason: '' }));
  provider.next({ content: `As [1] says:\n\`\`\`json\n${JSON.stringify({ keywords }, null, 2)}\n\`\`\`\nHope that helps!` });
  const done = await client.step('seed-extract', {});
  assert.deepEqual(done.json.result, { keywords }, done.text);
});

test('the reviewed keywords are those that are clustered', async () => {
  const client = new IntentClient(world);
  await client.advanceTo('SEED_REVIEW_PENDING');
  const keywords = ['rent a cargo bike', 'courier bike berlin'];
  const reviewed = await client.post('review', { keywords, note: 'Only what we sell.', userId: 'ann' });
  assert.deepEqual([reviewed.json.state, reviewed.json.data.review.keywords], ['SEED_REVIEW_COMPLETED', keywords], reviewed.text);
  assert.equal(reviewed.json.history.at(-1).actor, 'ann');
  const asked = provider.next();
  await client.step('cluster', {});
  assert.match((await asked.arrived).body.messages.at(-1).content, /\["rent a cargo bike","courier bike berlin"\]/);
});

test('a step whose budget does not hold it has failed with 402', async () => {
  const client = new IntentClient(world);
  await client.create({ costLimitUSD: 0.01 });
  const refused = await client.step('icp-generate', {});
  assert.equal(refused.status, 402, refused.text);
  assert.deepEqual([refused.json.code, refused.json.scope, refused.json.step], ['budget_exceeded', 'workflow', 'icp-generate']);
  const shown = await client.get();
  assert.deepEqual([shown.state, shown.failure.code, shown.heldUSD], ['ICP_FAILED', 'budget_exceeded', 0]);
});

test('a workflow is cancelled while it is worked on: the call is charged and its answer dropped', async () => {
  const client = new IntentClient(world);
  await client.create();
  const call = provider.next({ waits: true });
  const answer = client.step('icp-generate', {});
  await call.arrived;
  const cancelled = await client.post('cancel', { reason: 'enough' });
  assert.deepEqual([cancelled.status, cancelled.json.state, cancelled.json.nextStates], [200, 'CANCELLED', []], cancelled.text);
  const told = await answer;
  assert.deepEqual([told.status, told.json.code, told.json.state], [409, 'step_cancelled', 'CANCELLED'], told.text);
  call.release();
  await world.settled();
  assert.equal((await entriesOf(client.id)).length, 1);
  const shown = await client.get();
  assert.deepEqual([shown.state, shown.data['icp-generate'], shown.running], ['CANCELLED', undefined, null]);
  assert.equal((await client.post('cancel', {})).status, 200);
  const late = await client.step('icp-generate', {});
  assert.deepEqual([late.status, late.json.currentState], [409, 'CANCELLED'], late.text);
});

test('a step that is not waited for is told as it stands', async () => {
  const client = new IntentClient(world);
  await client.create();
  const call = provider.next({ waits: true });
  const begun = await client.step('icp-generate', { wait: false });
  assert.deepEqual([begun.status, begun.json.state, begun.json.result], [202, 'ICP_PROCESSING', null], begun.text);
  const shown = await client.get();
  assert.deepEqual([shown.running.step, shown.running.runId], ['icp-generate', begun.json.runId]);
  assert.ok(Number(shown.heldUSD * 100) > 0);
  call.release();
  await client.reaches('ICP_COMPLETED');
});

test('an article is delivered signed, tried again under the same id, and not led elsewhere', async () => {
  const client = new IntentClient(world);
  await client.advanceTo('ARTICLE_COMPLETED');
  const away = webhook.next({ status: 503 });
  const there = webhook.next();
  const published = await client.step('publish', {});
  assert.deepEqual([published.status, published.json.state], [200, 'COMPLETED'], published.text);
  assert.deepEqual([published.json.result.delivered, published.json.result.status], [true, 200]);
  const [first, second] = [await away.arrived, await there.arrived];
  assert.equal(first.headers['x-holdfast-delivery'], second.headers['x-holdfast-delivery']);
  for (const { headers, text, body, path } of [first, second]) {
    const signature = createHmac('sha256', kSecret).update(`${headers['x-holdfast-timestamp']}.${text}`).digest('hex');
    assert.equal(headers['x-holdfast-signature'], `v1=${signature}`);
    assert.equal(path, '/articles');
    assert.equal(body.organizationId, world.organization.id);
    assert.equal(body.document.workflowId, client.id);
    assert.deepEqual(body.document.article, (await client.get()).data.article);
  }
  assert.ok(!world.gateway.log.includes(kSecret));

  const other = new IntentClient(world);
  await other.advanceTo('ARTICLE_COMPLETED');
  webhook.next({ status: 302, headers: { location: `${webhook.origin}/elsewhere` } });
  const refused = await other.step('publish', {});
  assert.deepEqual([refused.status, refused.json.code, refused.json.state], [502, 'webhook_failed', 'PUBLISH_FAILED'], refused.text);
  assert.ok(!webhook.requests.some(({ path }) => path === '/elsewhere'));
  assert.equal((await other.post('retry', {})).json.state, 'COMPLETED');
});

test('a gateway does not start on a graph that has faults', async () => {
  const { database } = world;
  await database.query(`INSERT INTO holdfast.workflow_states (graph, state, step, status) VALUES ('lost', 'HERE', 1, 'created')`);
  const unused = await world.startGateway();
  await unused.stop();
  await database.query(`DELETE FROM holdfast.workflow_states WHERE graph = 'lost'`);

  const fresh = await World.create();
  try {
    await fresh.database.query(
      `INSERT INTO holdfast.workflow_states (graph, state, step, status) VALUES ('intent', 'STRAY', 1, 'pending')`,
    );
    const { code, stderr } = await Gateway.run(['--listen', '127.0.0.1:0', '--database', fresh.database.conninfo]);
    assert.equal(code, 1, stderr);
    assert.match(stderr, /intent STRAY: unreachable/);
  } finally {
    await fresh.close();
  }
});
