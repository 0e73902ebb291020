// One session on the server: calls functions by their parameters' names, everything as text.

import pg from 'pg';

const kTypes = {
  p_workflow_id: 'uuid', p_organization_id: 'uuid', p_estimated_cost: 'numeric', p_limit: 'numeric', p_ttl: 'interval',
  p_user_id: 'text', p_idempotency_key: 'uuid', p_provider: 'text', p_api_key_id: 'uuid', p_community_id: 'uuid',
  p_tool: 'text', p_hold_id: 'uuid', p_model: 'text', p_prompt_tokens: 'integer', p_completion_tokens: 'integer',
  p_cached_tokens: 'integer', p_cache_write_tokens: 'integer', p_reasoning_tokens: 'integer', p_cost: 'numeric',
  p_metadata: 'jsonb', p_amount: 'numeric', p_most: 'integer', p_limit_usd: 'numeric', p_scope: 'text',
  p_subject: 'text', p_period: 'text', p_entries: 'jsonb', p_ledger_id: 'uuid', p_reason: 'text', p_account: 'text',
  p_credits: 'numeric', p_key_hash: 'bytea', p_providers: 'text[]', p_fingerprint: 'bytea', p_sizing: 'text',
  p_estimated: 'boolean', p_reported_cost: 'numeric', p_answer_status: 'integer', p_answer: 'text', p_name: 'text',
  p_soft_limit_usd: 'numeric', p_downgrade_at_usd: 'numeric', p_downgrade_model: 'text', p_role: 'text', p_graph: 'text', p_workflow_data: 'jsonb', p_cost_limit: 'numeric',
};
const kMicros = (column) => `(extract(epoch FROM ${column}) * 1000000)::bigint::text`;

// Columns by name, every value as the server wrote it.
const asText = { getTypeParser: () => (value) => value };

export class Session {
  static async open(database, host = process.env.PGHOST) {
    const session = new Session();
    session.statements = new Map();
    session.client = new pg.Client({ database, host, port: Number(process.env.PGPORT ?? 5432),
      user: process.env.PGUSER, types: asText });
    // A session that is killed on purpose reports that to whoever waits for its answer.
    session.client.on('error', () => {});
    await session.client.connect();
    return session;
  }

  async query(sql, values = []) {
    return (await this.client.query({ text: sql, values })).rows;
  }

  // The same, planned once: for what is asked again and again.
  async queryKept(sql, values = []) {
    if (!this.statements.has(sql)) this.statements.set(sql, `kept_${this.statements.size}`);
    return (await this.client.query({ name: this.statements.get(sql), text: sql, values })).rows;
  }

  // The rows of one function; `done` is the server's clock after it. A refusal is an Error with a `code`.
  async call(name, parameters) {
    const given = Object.entries(parameters).filter(([, value]) => value !== undefined);
    // The key of a governed call is the client's own text.
    const type = (key) => (name === 'open_call' && key === 'p_idempotency_key' ? 'text' : kTypes[key] ?? unknown(key));
    const list = given.map(([key], i) => `${key} => $${i + 1}::${type(key)}`).join(', ');
    const extra = ['hold_workflow_cost', 'open_call'].includes(name) ? `, ${kMicros(`${name}.expires_at`)} AS expires_micros`
      : name === 'extend_hold' ? `, ${kMicros(name)} AS expires_micros` : '';
    const rows = await this.queryKept(
      `SELECT ${name}.*${extra}, ${kMicros('clock_timestamp()')} AS done FROM holdfast.${name}(${list})`,
      given.map(([, value]) => value));
    for (const row of rows) {
      row.done = BigInt(row.done);
      if (row.expires_micros) row.expires_micros = BigInt(row.expires_micros);
    }
    return rows;
  }

  async clock() {
    return BigInt((await this.queryKept(`SELECT ${kMicros('clock_timestamp()')} AS now`))[0].now);
  }

  // What the extension offers here: the parameters of each of its functions.
  async offered() {
    const rows = await this.query(`SELECT proname, coalesce(array_to_string(proargnames, ' '), '') AS parameters
      FROM pg_proc WHERE pronamespace = 'holdfast'::regnamespace`);
    return new Map(rows.map((row) => [row.proname, new Set(row.parameters.split(' '))]));
  }

  close() {
    return this.client.end();
  }
}

function unknown(parameter) {
  throw new Error(`no type is known for the parameter ${parameter}`);
}

// A fresh database with the extension; gone again by drop().
export async function createDatabase(name) {
  const admin = await Session.open('postgres');
  await admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
  await admin.query(`CREATE DATABASE ${name}`);
  const session = await Session.open(name);
  await session.query('CREATE EXTENSION holdfast');
  await session.query('SELECT holdfast.set_rate_limit(layer, NULL) FROM holdfast.get_rate_limits()');
  await session.close();
  return {
    async drop() {
      await admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
      await admin.close();
    },
  };
}
