// A database of its own for each test file, in the private PostgreSQL that PGHOST names.

import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import pg from 'pg';
import { environment } from './gateway.mjs';

export const kRole = 'holdfast_gateway';

export class Database {
  // Creates a database with the extension, and the role that gateways work under.
  static async create() {
    const database = new Database();
    database.name = `e2e_${randomBytes(6).toString('hex')}`;
    database.admin = new pg.Pool({ max: 1, database: 'postgres' });
    await database.admin.query(`DO $$ BEGIN CREATE ROLE ${kRole} LOGIN;
      EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$`);
    await database.admin.query(`CREATE DATABASE ${database.name}`);
    database.pool = new pg.Pool({ max: 4, database: database.name });
    await database.query('CREATE EXTENSION holdfast');
    // Tests call more often than anybody should; those of the limits set their own.
    await database.query(`SELECT holdfast.set_rate_limit(layer, NULL) FROM holdfast.get_rate_limits()`);
    await database.query(`SELECT holdfast.grant_access($1, 'application')`, [kRole]);
    return database;
  }

  // What a gateway is given as --database.
  get conninfo() {
    return conninfo(environment('PGHOST'), environment('PGPORT'), this.name);
  }

  async query(text, values) {
    return (await this.pool.query(text, values)).rows;
  }

  async value(text, values) {
    const [row] = await this.query(text, values);
    return Object.values(row)[0];
  }

  async drop() {
    // FORCE may reach connections that are just being closed.
    this.pool.on('error', () => {});
    await this.pool.end();
    await this.admin.query(`DROP DATABASE ${this.name} WITH (FORCE)`);
    await this.admin.end();
  }

  // A new organization: {id, key, keyId}.
  async organization() {
    const id = randomUUID();
    return { id, ...(await this.key(id)) };
  }

  async key(organization) {
    const [row] = await this.query(
      `SELECT api_key_id, api_key FROM holdfast.create_api_key(p_organization_id => $1, p_name => 'e2e')`,
      [organization],
    );
    return { key: row.api_key, keyId: row.api_key_id };
  }

  async workflow(organization, costLimit = null) {
    return this.value(`SELECT holdfast.create_workflow(p_organization_id => $1, p_cost_limit => $2)`, [
      organization,
      costLimit,
    ]);
  }

  // One more price, in force since yesterday.
  async price(provider, model, { input, output, cached = null }) {
    await this.query(
      `INSERT INTO holdfast.ai_provider_pricing
         (provider, model, cost_per_1m_input, cost_per_1m_output, cost_per_1m_cached_input, effective_date)
       VALUES ($1, $2, $3, $4, $5, current_date - 1)`,
      [provider, model, input, output, cached],
    );
  }
}

function conninfo(host, port, name) {
  return `host=${host} port=${port} user=${kRole} dbname=${name} connect_timeout=5`;
}

// A wire between a gateway and PostgreSQL that can be cut.
export class Wire {
  #server;
  #sockets = new Set();
  #cut = false;
  #loses = false;
  #staysCut = false;

  static async to(database) {
    const wire = new Wire();
    wire.#server = net.createServer((client) => wire.#connect(client));
    wire.#server.listen(0, '127.0.0.1');
    await once(wire.#server, 'listening');
    wire.conninfo = conninfo('127.0.0.1', wire.#server.address().port, database.name);
    return wire;
  }

  // Breaks every connection and refuses new ones, until mend().
  cut() {
    this.#cut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend() {
    this.#cut = false;
  }

  // The database's next answer does not arrive, and its connection breaks: what it did is done, but nobody is told.
  // `staysCut`: nor can anybody ask, until mend().
  loseNextAnswer({ staysCut = false } = {}) {
    this.#loses = true;
    this.#staysCut = staysCut;
  }

  async close() {
    this.cut();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #connect(client) {
    client.on('error', () => {});
    if (this.#cut) {
      client.destroy();
      return;
    }
    const server = net.connect(`${environment('PGHOST')}/.s.PGSQL.${environment('PGPORT')}`);
    server.on('error', () => {});
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ]) {
      this.#sockets.add(socket);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
    client.pipe(server);
    server.on('data', (answer) => {
      if (this.#loses) {
        this.#loses = false;
        if (this.#staysCut) this.cut();
        server.destroy();
      } else {
        client.write(answer);
      }
    });
  }
}
