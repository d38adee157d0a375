// How the Prisma CLI (6.19.x) reaches PostgreSQL: over the JavaScript driver and the schema engine in
// WebAssembly that npm's `prisma` carries, so that no engine is ever downloaded (docs/architecture.md, "Prisma").
import fs from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

import { PrismaPg } from '@prisma/adapter-pg'
import pg from 'pg'
import { parse } from 'pg-connection-string'

const here = path.dirname(fileURLToPath(import.meta.url))

// A CLI with a config file no longer reads .env itself; the server does, so the same values count here.
if (fs.existsSync('.env')) process.loadEnvFile('.env')

// Migrations need a session of their own, which a transaction pooler cannot give: DIRECT_URL goes first.
const databaseUrl = process.env.DIRECT_URL || process.env.DATABASE_URL
// The schema is not valid without both, also for commands that need no database; the others get a sentence (adapter).
process.env.DATABASE_URL ||= databaseUrl ?? 'postgresql://DATABASE_URL-is-not-set'
process.env.DIRECT_URL ||= process.env.DATABASE_URL
process.env.CHECKPOINT_DISABLE = '1' // no call home

// The schema's generator is the program `prisma-client-py` of the Python environment, activated or not.
const GENERATOR = 'prisma-client-py'
const environments = [process.env.VIRTUAL_ENV, path.join(here, '.venv')].filter(Boolean)
process.env.PATH = [process.env.PATH, ...environments.map((each) => path.join(each, 'bin'))].join(path.delimiter)
if (!process.env.PATH.split(path.delimiter).some((folder) => fs.existsSync(path.join(folder, GENERATOR)))) {
  console.error(`${GENERATOR} is not installed, without which nothing is generated: run \`make setup\` in ${here}.`)
}

// The CLI would download native engines unless these name files that exist; with `engine: 'js'` it runs none.
for (const engine of ['PRISMA_QUERY_ENGINE_LIBRARY', 'PRISMA_QUERY_ENGINE_BINARY', 'PRISMA_SCHEMA_ENGINE_BINARY']) {
  process.env[engine] ||= fileURLToPath(import.meta.url)
}

// The schema engine never clears its time-outs of 10 s (advisory lock) and 60 s (`db push`), so that a command would
// end that long after its work is done. While there is work, a socket keeps the process alive, and they still fire.
const setTimer = globalThis.setTimeout
globalThis.setTimeout = Object.assign((callback, delay, ...args) => {
  const timer = setTimer(callback, delay, ...args)
  return delay >= 10_000 ? timer.unref() : timer
}, setTimer)

// Studio is an editor of every row without a password, and listens on all addresses where `--hostname` names none.
const LOOPBACK = '127.0.0.1'
const listen = net.Server.prototype.listen
net.Server.prototype.listen = function (...args) {
  if (typeof args[0] === 'number' && typeof args[1] !== 'string') args.splice(1, args[1] === undefined ? 1 : 0, LOOPBACK)
  return listen.apply(this, args)
}

// Its API takes whatever a page of another site may send (text/plain needs no preflight), and a name of another site
// may be made to point to this machine: a browser says where a page is from, and by which name it found the server.
const emit = http.Server.prototype.emit
http.Server.prototype.emit = function (event, request, response, ...rest) {
  if (event !== 'request' || isOwn(request)) return emit.call(this, event, request, response, ...rest)
  response.writeHead(403, { Connection: 'close' }).end()
  return true
}

/** Whether a request is of Studio's own page; at a loopback address, by one of its names. */
function isOwn({ headers, socket }) {
  const host = headers.host ?? ''
  const origin = headers.origin
  if (origin !== undefined && origin !== `http://${host}`) return false
  return socket.localAddress?.replace('::ffff:', '') !== LOOPBACK || /^(localhost|127\.0\.0\.1)(:\d+)?$/.test(host)
}

// Types of the catalogs that the adapter cannot name (prisma/orm#27403), and the nearest one that it can.
const TEXT = 25
const TEXT_ARRAY = 1009
const NEAREST_TYPE = new Map([
  [18, TEXT], // "char"
  [19, TEXT], // name
  [22, TEXT], // int2vector
  [24, TEXT], // regproc
  [30, TEXT], // oidvector
  [194, TEXT], // pg_node_tree
  [2205, TEXT], // regclass
  [2206, TEXT], // regtype
  [4089, TEXT], // regnamespace
  [1002, TEXT_ARRAY], // "char"[]
  [1003, TEXT_ARRAY], // name[]
])

/** The result with every column of an unknown catalog type declared as text, which is how it arrives. */
function withKnownTypes(result) {
  for (const field of result.fields ?? []) {
    field.dataTypeID = NEAREST_TYPE.get(field.dataTypeID) ?? field.dataTypeID
  }
  return result
}

/** A pool or a client whose results name only known types; whatever it connects is wrapped too. */
function wrapped(client) {
  return new Proxy(client, {
    get(target, key) {
      if (key === 'query') return async (...args) => withKnownTypes(await target.query(...args))
      if (key === 'connect') return async () => wrapped(await target.connect())
      const value = Reflect.get(target, key, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

/**
 * The schema engine's question for check and exclusion constraints, without PostgreSQL 18's answer to it: there,
 * NOT NULL is a constraint too (contype `n`), of which the engine of 6.19 panics ("RuntimeError: unreachable").
 */
const withoutNotNull = (sql) => sql.replace("contype NOT IN ('p', 'u', 'f')", "contype IN ('c', 'x')")

const CHARACTER = 6 // ColumnTypeEnum.Character of @prisma/driver-adapter-utils

/**
 * The answer with a constraint's kind as a character, which the schema engine takes for granted: of a text it panics
 * ("RuntimeError: unreachable"), so that any CHECK or EXCLUDE constraint in a database would end a command.
 */
function withConstraintKinds(answer) {
  const column = answer.columnNames.indexOf('constraint_type') // pg_constraint.contype, "char"
  if (column >= 0) answer.columnTypes[column] = CHARACTER
  return answer
}

/** A connection that has dates written as the engine reads them, whatever database, role or server have set. */
class Client extends pg.Client {
  getStartupConf() {
    return { ...super.getStartupConf(), DateStyle: 'ISO', TimeZone: 'UTC' }
  }
}

/** The adapter's factory with the catalog types mapped, scripts sent whole and shadow databases of its own. */
class MigrationAdapter extends PrismaPg {
  constructor(config, options) {
    super(config, options)
    this.connection = config
    this.pgOptions = options
  }

  async connect() {
    const adapter = await super.connect()
    adapter.client = wrapped(adapter.client)
    const queryRaw = adapter.queryRaw.bind(adapter)
    adapter.queryRaw = async (query) => withConstraintKinds(await queryRaw({ ...query, sql: withoutNotNull(query.sql) }))
    // The adapter cuts scripts at every semicolon, also inside a literal or a function's body: send them whole.
    adapter.executeScript = async (script) => {
      await adapter.client.query(script).catch((error) => adapter.onError(error))
    }
    return adapter
  }

  async connectToShadowDb() {
    const main = await this.connect()
    const database = `prisma_migrate_shadow_db_${crypto.randomUUID()}`
    await main.executeScript(`CREATE DATABASE "${database}"`)
    const shadow = await new MigrationAdapter({ ...this.connection, database }, this.pgOptions).connect()
    const close = shadow.dispose.bind(shadow)
    shadow.dispose = async () => {
      await close()
      await main.executeScript(`DROP DATABASE IF EXISTS "${database}" WITH (FORCE)`)
      await main.dispose()
    }
    return shadow
  }
}

/** node-postgres' `ssl` for Prisma's URL parameters; a socket's folder has none. */
async function tls(params, connection) {
  const mode = params.get('sslmode') ?? 'prefer'
  if (mode === 'disable' || connection.host?.startsWith('/')) return false
  const strict = params.get('sslaccept') === 'strict' || mode === 'verify-full'
  const ca = params.get('sslrootcert') ?? params.get('sslcert')
  const ssl = {
    rejectUnauthorized: strict || mode === 'verify-ca',
    ...(strict ? {} : { checkServerIdentity: () => undefined }),
    ...(ca ? { ca: fs.readFileSync(ca, 'utf8') } : {}),
    ...(params.has('sslidentity')
      ? { pfx: fs.readFileSync(params.get('sslidentity')), passphrase: params.get('sslpassword') ?? undefined }
      : {}),
  }
  if (mode !== 'prefer' && mode !== 'allow') return ssl
  const probe = new pg.Client({ ...connection, ssl })
  const refused = await probe.connect().catch((error) => error)
  await probe.end().catch(() => {})
  return /does not support SSL/.test(refused?.message ?? '') ? false : ssl
}

/** Discrete fields for pg.Pool: with a connection string, the adapter's shadow database would be the real one. */
async function adapter() {
  const url = databaseUrl
  if (!url) {
    throw new Error('DATABASE_URL is not set: set it, or use `neuron-meet db`, which starts the embedded PostgreSQL.')
  }
  const [address, query] = url.split('?')
  const params = new URLSearchParams(query)
  const given = parse(address)
  const schema = params.get('schema')
  const connection = {
    Client,
    host: params.get('host') || given.host || undefined, // a folder is a unix socket's
    port: Number(params.get('port') || given.port || 5432),
    user: given.user || 'postgres',
    password: given.password || undefined,
    database: given.database || undefined,
    // Migrations name no schema: they mean the first one of the search path.
    options: schema ? `-c search_path="${schema.replaceAll('"', '""').replaceAll(' ', '\\ ')}"` : undefined,
    connectionTimeoutMillis: 9_000,
    allowExitOnIdle: true, // else the CLI lingers for the pool's idle time, 10 s
  }
  const ssl = await tls(params, connection)
  return new MigrationAdapter({ ...connection, ssl }, schema ? { schema } : undefined)
}

export default {
  experimental: { adapter: true, studio: true },
  engine: 'js',
  schema: path.join(here, 'schema.prisma'),
  migrations: { path: path.join(here, 'migrations') },
  adapter,
  studio: { adapter },
}
