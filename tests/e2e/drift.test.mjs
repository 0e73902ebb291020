// Another model answers than the one that was asked for: recorded, or refused where the operator says so.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { APIError } from 'openai';
import { fixture, usageOf } from './support/fixtures.mjs';
import { World, readStream } from './support/world.mjs';

let world;
let strict;
before(async () => {
  world = await World.create();
  strict = world.clientOf(world.organization.key, await world.startGateway({ flags: ['--model-drift', 'refuse'] }));
});
afterEach(() => world.verify());
after(() => world.close());

const kMessages = [{ role: 'user', content: 'Hello!' }];
const kDrifting = { model: 'gpt-4o', messages: kMessages }; // the recordings answer as gpt-5-nano and gpt-4
const kBasic = usageOf(fixture('chat_basic'));

const lastMetadata = () =>
  world.database.value('SELECT metadata FROM holdfast.ai_usage_ledger ORDER BY seq DESC LIMIT 1');

test('a dated id of the same model is no drift', async () => {
  world.replay.next('chat_basic');
  await strict.chat.completions.create({ model: 'gpt-5-nano', messages: kMessages });
  world.expectEntry({ model: 'gpt-5-nano', usage: kBasic });
  const metadata = await lastMetadata();
  assert.equal(metadata.answeredModel, 'gpt-5-nano-2025-08-07');
  assert.equal(metadata.modelDrift, undefined);
});

test('drift is recorded', async () => {
  world.replay.next('chat_basic');
  await world.client.chat.completions.create(kDrifting);
  world.expectEntry({ model: 'gpt-4o', usage: kBasic });
  assert.equal((await lastMetadata()).modelDrift, true);
});

test('drift can be an error, and is charged', async () => {
  world.replay.next('chat_basic');
  await assert.rejects(strict.chat.completions.create(kDrifting), (error) => {
    assert.ok(error instanceof APIError);
    assert.equal(error.code, 'model_drift');
    assert.equal(error.status, 502);
    return true;
  });
  world.expectEntry({ model: 'gpt-4o', usage: kBasic });
});

test('a stream of another model is refused at its first event', async () => {
  world.replay.next('stream_basic');
  const stream = await strict.chat.completions.create({ ...kDrifting, stream: true });
  await assert.rejects(readStream(stream), (error) => error.code === 'model_drift');
  await world.settled();
  await world.takeEntry('openai');
});
