// A PostgreSQL of a test's own, that can be stopped and started again.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { environment } from './gateway.mjs';

const kSettings = {
  listen_addresses: '',
  port: '5432',
  max_connections: '100',
  shared_preload_libraries: 'holdfast',
  fsync: 'off', // processes are killed here, not machines
  log_statement: 'none',
};

// PostgreSQL refuses to run as root.
function serverUser() {
  if (process.getuid() !== 0) return {};
  const id = (flag) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

export class Server {
  #folder;
  #user = serverUser();

  // Starts one in a new folder and makes it what PGHOST names: every client of this process finds it there.
  static async start(settings = {}) {
    const server = new Server();
    server.#folder = mkdtempSync(join(tmpdir(), 'holdfast-pg-'));
    chmodSync(server.#folder, 0o711);
    mkdirSync(join(server.#folder, 'socket'));
    if (server.#user.uid !== undefined) {
      for (const path of [server.#folder, join(server.#folder, 'socket')]) chownSync(path, server.#user.uid, server.#user.gid);
    }
    await server.#run('initdb', ['--pgdata', server.#data, '--username=postgres', '--auth=trust', '--encoding=UTF8', '--locale=C.UTF-8', '--no-sync']);
    const all = { ...kSettings, unix_socket_directories: join(server.#folder, 'socket'), ...settings };
    const lines = Object.entries(all).map(([name, value]) => `${name} = '${value}'\n`);
    appendFileSync(join(server.#data, 'postgresql.conf'), lines.join(''));
    await server.startAgain();
    process.env.PGHOST = join(server.#folder, 'socket');
    process.env.PGPORT = '5432';
    process.env.PGUSER = 'postgres';
    return server;
  }

  get #data() {
    return join(this.#folder, 'data');
  }

  async startAgain() {
    await this.#run('pg_ctl', ['--pgdata', this.#data, '--log', join(this.#folder, 'server.log'), '--wait', '--timeout=60', '--silent', 'start']);
  }

  // `mode` is fast or immediate. Returns when it is down.
  async stop(mode) {
    await this.#run('pg_ctl', ['--pgdata', this.#data, '--mode', mode, '--wait', '--timeout=60', '--silent', 'stop']);
  }

  async remove() {
    await this.stop('immediate');
    rmSync(this.#folder, { recursive: true });
  }

  // A server keeps the descriptors that it was started with: none of ours.
  async #run(program, options) {
    const child = spawn(join(environment('STAGE_BIN'), program), options, { ...this.#user, cwd: '/', stdio: 'ignore' });
    const [code] = await once(child, 'close');
    if (code !== 0) throw new Error(`${program} ${options.join(' ')} ended with ${code}`);
  }
}
