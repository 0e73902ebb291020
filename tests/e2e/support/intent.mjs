// The seven steps of a workflow on the graph intent, as the tests go through them.

import assert from 'node:assert/strict';

export const kInput = { business: 'Cargo bikes for couriers, rented by the month.', website: 'https://bikes.example', market: 'Berlin' };

// Each step with the state that it begins from, the one that it ends in, and how many calls of a provider it makes.
export const kSteps = [
  { step: 'icp-generate', from: 'CREATED', pending: 'ICP_PENDING', to: 'ICP_COMPLETED', calls: 1, provider: 'perplexity' },
  { step: 'competitor-analyze', from: 'ICP_COMPLETED', pending: 'COMPETITOR_PENDING', to: 'COMPETITOR_COMPLETED', calls: 1, provider: 'perplexity' },
  { step: 'seed-extract', from: 'COMPETITOR_COMPLETED', pending: 'SEED_REVIEW_PENDING', to: 'SEED_REVIEW_PENDING', calls: 1 },
  { step: 'cluster', from: 'SEED_REVIEW_COMPLETED', pending: 'CLUSTERING_PENDING', to: 'CLUSTERING_COMPLETED', calls: 1 },
  { step: 'validate', from: 'CLUSTERING_COMPLETED', pending: 'VALIDATION_PENDING', to: 'VALIDATION_COMPLETED', calls: 1 },
  { step: 'article', from: 'VALIDATION_COMPLETED', pending: 'ARTICLE_PENDING', to: 'ARTICLE_COMPLETED', calls: 2 },
  { step: 'publish', from: 'ARTICLE_COMPLETED', pending: 'PUBLISH_PENDING', to: 'COMPLETED', calls: 0 },
];

export class IntentClient {
  constructor(world) {
    this.world = world;
  }

  async create(body = {}, options = {}) {
    const made = await this.world.http('POST', '/api/intent/workflows', { body: { input: kInput, ...body }, ...options });
    assert.equal(made.status, 200, made.text);
    this.id = made.json.workflowId;
    return made;
  }

  post(path, body, options = {}) {
    return this.world.http('POST', `/api/intent/workflows/${this.id}/${path}`, { body, ...options });
  }

  step(name, body, options) {
    return this.post(`steps/${name}`, body, options);
  }

  async get() {
    const shown = await this.world.http('GET', `/api/intent/workflows/${this.id}`);
    assert.equal(shown.status, 200, shown.text);
    return shown.json;
  }

  async review(data) {
    const seeds = data ?? (await this.get()).data['seed-extract'];
    const reviewed = await this.post('review', { keywords: seeds.keywords.map(({ keyword }) => keyword) });
    assert.equal(reviewed.status, 200, reviewed.text);
    assert.equal(reviewed.json.state, 'SEED_REVIEW_COMPLETED');
  }

  // Brings a new workflow to the state that a step begins from.
  async advanceTo(from) {
    await this.create();
    for (const { step, from: begins } of kSteps) {
      if (begins === from) return;
      const done = await this.step(step, {});
      assert.equal(done.status, 200, done.text);
      if (step === 'seed-extract' && from === 'SEED_REVIEW_PENDING') return;
      if (step === 'seed-extract') await this.review();
    }
  }

  // Waits until the workflow is in this state.
  async reaches(state) {
    for (let tries = 0; tries < 1200; tries++) {
      const now = await this.world.database.value('SELECT state FROM holdfast.intent_workflows WHERE id = $1', [this.id]);
      if (now === state) return;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert.fail(`the workflow does not reach ${state}: ${JSON.stringify(await this.get())}`);
  }
}
