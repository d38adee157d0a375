// The pool of PostgreSQL connections: Prisma's adapter for node-postgres, with what it leaves open.
import net from 'node:net'
import { readFileSync } from 'node:fs'
import { PrismaPg } from '@prisma/adapter-pg'
import pg from 'pg'

/** Request code 80877103 asks a PostgreSQL server whether it speaks TLS (protocol, "SSLRequest"). */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f])

/** Of the time that a query may take, the share after which PostgreSQL ends it. */
const STATEMENT_SHARE = 0.9

/** Whether the server at `host:port` offers TLS. Rejects when it cannot be reached in `timeoutMs`. */
function offersTls(host, port, timeoutMs) {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host, port })
    const settle = (outcome, value) => {
      socket.destroy()
      outcome(value)
    }
    socket.setTimeout(timeoutMs, () => settle(reject, Object.assign(new Error('timeout expired'), { code: 'ETIMEDOUT' })))
    socket.once('connect', () => socket.write(SSL_REQUEST))
    socket.once('data', (answer) => settle(resolve, answer[0] === 0x53))
    socket.once('error', (error) => settle(reject, error))
    socket.once('close', () => settle(reject, Object.assign(new Error('closed'), { code: 'ECONNRESET' })))
  })
}

/** node-postgres' `ssl` for Prisma's URL parameters; `false` for none. */
async function tls(database, timeoutMs) {
  const { mode, ca, identity, password, verify, verifyHost } = database.tls
  if (mode === 'disable' || database.host.startsWith('/')) return false
  if (mode === 'prefer' && !(await offersTls(database.host, database.port, timeoutMs))) return false
  return {
    rejectUnauthorized: verify,
    ...(verifyHost ? {} : { checkServerIdentity: () => undefined }),
    ...(ca ? { ca: readFileSync(ca, 'utf8') } : {}),
    ...(identity ? { pfx: readFileSync(identity), passphrase: password ?? undefined } : {}),
  }
}

/**
 * A connection that has dates written as the adapter reads them, whatever database, role or server have set. Both are
 * settings that poolers keep for each client, as PostgreSQL's JDBC driver brings them.
 */
class Client extends pg.Client {
  getStartupConf() {
    return { ...super.getStartupConf(), DateStyle: 'ISO', TimeZone: 'UTC' }
  }
}

/**
 * A transaction whose end always gives its connection back. Prisma's adapter releases a connection only after COMMIT
 * or ROLLBACK succeeded, so that each transaction cut off by the network would take one from the pool for good.
 */
function withRelease(transaction) {
  const client = transaction.client
  // One query at a time: a plan that joins in memory asks for several at once, which node-postgres gives up in 9.0.
  let last = Promise.resolve()
  const inTurn = (run) => {
    const result = last.then(run)
    last = result.catch(() => {})
    return result
  }
  const end = async (sql) => {
    let result
    try {
      result = await client.query(sql)
    } catch (error) {
      transaction.cleanup?.()
      client.release(error) // closes it: PostgreSQL rolls back
      if (sql === 'COMMIT') transaction.onError(error)
      return
    }
    await transaction.commit()
    // PostgreSQL answers ROLLBACK to the COMMIT of a transaction in which a statement failed.
    if (sql === 'COMMIT' && result.command === 'ROLLBACK') {
      const message = 'Transaction was rolled back because one of its queries had failed.'
      throw Object.assign(new Error(message), { code: 'P2028' })
    }
  }
  return {
    provider: transaction.provider,
    adapterName: transaction.adapterName,
    options: { usePhantomQuery: true }, // the transaction manager then leaves COMMIT and ROLLBACK to us
    queryRaw: (query) => inTurn(() => transaction.queryRaw(query)),
    executeRaw: (query) => inTurn(() => transaction.executeRaw(query)),
    commit: () => inTurn(() => end('COMMIT')),
    rollback: () => inTurn(() => end('ROLLBACK')),
  }
}

/**
 * The driver adapter for `database` (host, port, user, password, database, schema, options, tls, applicationName).
 * No connection is made before the first query. `connectMs`: wait for a connection; `queryMs`: for a query's end.
 */
export async function openPool(database, { poolSize, connectMs, queryMs, onError }) {
  const factory = new PrismaPg(
    {
      Client,
      host: database.host,
      port: database.port,
      user: database.user,
      password: database.password,
      database: database.database,
      ssl: await tls(database, connectMs),
      options: database.options || undefined,
      application_name: database.applicationName,
      max: poolSize,
      connectionTimeoutMillis: connectMs,
      query_timeout: queryMs,
      // PostgreSQL itself gives up first: a write whose caller was told that it failed must not appear later.
      ...(database.pooled ? {} : { statement_timeout: Math.ceil(queryMs * STATEMENT_SHARE) }),
      idleTimeoutMillis: 60_000,
      keepAlive: true,
    },
    { schema: database.schema, onPoolError: onError, onConnectionError: onError },
  )
  const adapter = await factory.connect()
  const startTransaction = adapter.startTransaction.bind(adapter)
  adapter.startTransaction = async (isolation) => withRelease(await startTransaction(isolation))
  return adapter
}
