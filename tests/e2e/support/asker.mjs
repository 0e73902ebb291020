// Requests that the cache may answer, and what the books then say.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { fixture, usageOf } from './fixtures.mjs';

export const kModel = 'gpt-5-nano';
export const kOn = { 'X-Holdfast-Cache': 'on' };
const kUsage = usageOf(fixture('chat_basic'));

export const cacheOf = ({ headers }) => headers.get('x-holdfast-cache');

// A question that no other test asks.
export const question = () => ({ model: kModel, messages: [{ role: 'user', content: `Question ${randomUUID()}` }] });

export class Asker {
  constructor(world) {
    this.world = world;
  }

  ask(body, headers = kOn, more = {}) {
    return this.world.http('POST', '/v1/chat/completions', { body, headers, ...more });
  }

  // Asks for the first time: the provider is called once.
  async askFirst(body, headers = kOn, more = {}) {
    this.world.replay.next('chat_basic');
    const answer = await this.ask(body, headers, more);
    assert.equal(answer.status, 200, answer.text);
    return answer;
  }

  expectCall(more = {}) {
    return this.world.expectEntry({ model: kModel, usage: kUsage, ...more });
  }

  expectHit(more = {}) {
    return this.expectCall({ hit: true, ...more });
  }

  // Resolves when somebody waits for a flight.
  async awaited() {
    for (let tries = 0; tries < 400; tries++) {
      if (await this.world.database.value('SELECT count(*)::int FROM holdfast.ai_cache_flights WHERE is_awaited')) return;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert.fail('nobody waits');
  }
}
