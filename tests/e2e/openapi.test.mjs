// docs/openapi.json says what the gateway does: its routes, and the members of its answers.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, afterEach, before, test } from 'node:test';
import { kInput } from './support/intent.mjs';
import { World } from './support/world.mjs';

const kDocument = JSON.parse(readFileSync(new URL('../../docs/openapi.json', import.meta.url), 'utf8'));
const kBodies = {
  ChatRequest: { model: 'gpt-4o-mini', max_tokens: 5, messages: [{ role: 'user', content: 'Hello!' }] },
  MessageRequest: { model: 'gpt-4o-mini', max_tokens: 5, messages: [{ role: 'user', content: 'Hello!' }] },
  EmbeddingRequest: { model: 'command-r', input: 'Hello!' },
  GenerateRequest: { prompt: 'Hello!', model: 'gpt-4o-mini', maxTokens: 5 },
};
// Workflows that need no provider: one that ends at once, one that waits for an approval.
const kEnding = { name: 'ending', steps: [{ id: 'a', action: 'template', input: { template: 'x' } }] };
const kWaiting = { name: 'waiting', steps: [{ ...kEnding.steps[0], approval: true }] };
Object.assign(kBodies, {
  WorkflowDefinition: kEnding,
  RunRequest: { workflow: kEnding },
  CancelRequest: {},
  DecisionRequest: { reason: 'so it is' },
  ApprovalRequest: { stepId: 'a' },
  IntentRequest: { input: kInput },
  IntentStepRequest: { instructions: 'Be brief.' },
  IntentReview: { keywords: ['cargo bike'] },
  OutcomeRequest: { outcome: 'answered', score: 4.5 },
  ReplayRequest: {},
  BatchRequest: { workflow: kEnding, inputs: [{}], maxTotalCost: 1 },
});
const kUsage = { prompt: 'userHello!'.length + 8 + 16, completion: 5 };
const kEmbeddingUsage = { prompt: 'Hello!'.length + 8, completion: 0 };

let world;
before(async () => {
  world = await World.create({ providerKey: null, flags: ['--run-steps', '2'] });
  world.strict = await world.startGateway({ flags: ['--auto-approve-usd', '0'] });
  world.prices['command-r'] = { input: '0.5', output: '1.5' };
});
afterEach(async () => {
  await world.settled(); // the gateway ends batches by itself
  await world.verify();
});
after(() => world.close());

// A workflow on the graph intent, in the state in which this can be asked of it.
async function intentTarget(path) {
  const made = await world.http('POST', '/api/intent/workflows', { body: kBodies.IntentRequest });
  const { workflowId: id } = made.json;
  const ways = {
    review: ['ICP_PENDING', 'ICP_PROCESSING', 'ICP_COMPLETED', 'COMPETITOR_PENDING', 'COMPETITOR_PROCESSING', 'COMPETITOR_COMPLETED', 'SEED_REVIEW_PENDING'],
    retry: ['ICP_PENDING', 'ICP_PROCESSING', 'ICP_FAILED'],
  };
  let from = 'CREATED';
  for (const to of ways[path.split('/').at(-1)] ?? []) {
    await world.database.query('SELECT holdfast.advance_workflow($1, $2, $3, $4)', [id, world.organization.id, from, to]);
    from = to;
  }
  return { path: path.replace('{id}', id).replace('{step}', 'icp-generate'), key: world.organization.key };
}

// The path of an operation about a call that waits, and the key of an admin.
async function approvalTarget(path) {
  const waiting = await world.http('POST', '/api/ai/generate', {
    body: { prompt: `Dear ${Math.random()}`, model: 'gpt-4o-mini', maxTokens: 10 },
    gateway: world.strict,
  });
  const [{ api_key: key }] = await world.database.query(
    `SELECT api_key FROM holdfast.create_api_key($1, 'admin', p_role => 'admin')`,
    [world.organization.id],
  );
  return { path: path.replace('{id}', waiting.json.approvalId), key };
}

// The path of an operation, about a run where it is about one, what more its body says of that, and the key that may call it.
async function target(path, operation, decided = true) {
  if (path.startsWith('/api/intent/')) return intentTarget(path);
  if (path.includes('/approvals')) return approvalTarget(path);
  const decides = decided && /\/(cancel|approve)$/.test(path);
  const workflow = decides ? kWaiting : kEnding;
  const [{ api_key: key }] = await world.database.query(
    `SELECT api_key FROM holdfast.create_api_key($1, 'admin', p_role => 'admin')`,
    [world.organization.id],
  );
  const { json } = path.includes('/batches')
    ? await world.http('POST', '/api/workflows/batches', { body: { ...kBodies.BatchRequest, workflow } })
    : await world.http('POST', '/api/workflows/run', { body: { workflow } });
  const saved = path.endsWith('/variants') ? await world.http('POST', '/api/workflows/create', { body: kEnding }) : null;
  const query = saved ? `?workflowId=${saved.json.workflowId}` : '';
  const more = path.endsWith('/replay') ? { replayToken: json.replayToken } : {};
  return { more, path: path.replace('{id}', json.batchId ?? json.runId) + query, key: operation.security ? undefined : key };
}

function schemaOf(content) {
  return content?.['application/json']?.schema.$ref?.split('/').at(-1);
}

// That a value has the members and types of a schema, as far as openapi.json uses JSON Schema.
function verify(value, schema, path) {
  if (schema.$ref) return verify(value, kDocument.components.schemas[schema.$ref.split('/').at(-1)], path);
  if (schema.const !== undefined) assert.equal(value, schema.const, path);
  if (schema.enum) assert.ok(schema.enum.includes(value), path);
  if (schema.type) {
    const type = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
    const types = [schema.type].flat().map((name) => (name === 'integer' ? 'number' : name));
    assert.ok(types.includes(type), `${path} is ${type}, not ${types}`);
  }
  for (const name of schema.required ?? []) assert.ok(name in value, `${path}.${name} is missing`);
  for (const [name, member] of Object.entries(schema.properties ?? {})) {
    if (value?.[name] !== undefined) verify(value[name], member, `${path}.${name}`);
  }
  if (schema.items) value.forEach((item, index) => verify(item, schema.items, `${path}[${index}]`));
  if (schema.additionalProperties) {
    for (const [name, member] of Object.entries(value)) verify(member, schema.additionalProperties, `${path}.${name}`);
  }
}

for (const [path, methods] of Object.entries(kDocument.paths)) {
  for (const [method, operation] of Object.entries(methods)) {
    const body = kBodies[schemaOf(operation.requestBody?.content)];

    test(`${method} ${path} answers as documented`, async () => {
      const { path: actual, key, more } = await target(path, operation);
      const answer = await world.http(method.toUpperCase(), actual, { body: body && { ...body, ...more }, key });
      const [status] = Object.keys(operation.responses);
      assert.equal(answer.status, Number(status), answer.text);
      const { content } = operation.responses[status];
      const type = answer.headers.get('content-type').split(';')[0];
      assert.ok(type in content, type);
      if (type === 'application/json') verify(answer.json, content[type].schema, path);
      if (/\/(retry|steps\/{step})$/.test(path)) await world.takeEntry('sandbox');
      if (body?.input && path === '/v1/embeddings')
        world.expectEntry({ model: 'command-r', provider: 'sandbox', usage: kEmbeddingUsage });
      if (body?.max_tokens || body?.maxTokens) world.expectEntry({ model: 'gpt-4o-mini', provider: 'sandbox', usage: kUsage });
    });

    test(`${method} ${path} ${operation.security ? 'needs no key' : 'is refused without a key, as documented'}`, async () => {
      const { path: actual } = await target(path, operation, false);
      const answer = await world.http(method.toUpperCase(), actual, { body, key: null });
      if (operation.security) {
        assert.equal(answer.status, 200);
      } else {
        assert.equal(answer.status, 401, answer.text);
        verify(answer.json, operation.responses.default.content['application/json'].schema, path);
      }
    });
  }
}
