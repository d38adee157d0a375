// Runs query plans on the pool: single queries, batches, interactive transactions.
import {
  QueryInterpreter,
  TransactionManager,
  noopTracingHelper,
  normalizeRawJsonProtocolResponse,
} from '@prisma/client-engine-runtime'
import { openPool } from './connections.mjs'

const ISOLATION = {
  ReadUncommitted: 'READ UNCOMMITTED',
  ReadCommitted: 'READ COMMITTED',
  RepeatableRead: 'REPEATABLE READ',
  Serializable: 'SERIALIZABLE',
}
const BASE = { tracingHelper: noopTracingHelper, provider: 'postgresql' }

/** A result without Prisma's type tags: `{$type: "DateTime", value: "…"}` is `"…"`. */
function untag(value) {
  if (value === null || typeof value !== 'object') return value
  if (Array.isArray(value)) return value.map(untag)
  if (typeof value.$type === 'string') {
    return typeof value.value === 'object' || value.$type === 'BigInt' ? String(value.value) : value.value
  }
  const copy = {}
  for (const key in value) copy[key] = untag(value[key])
  return copy
}

/** Executes queries of Prisma's JSON protocol. The first one opens the pool. */
export class Interpreter {
  #plans
  #database
  #limits
  #opening
  #opened

  /** `limits`: poolSize, connectMs, queryMs, onError(error) for connections that fail while idle. */
  constructor(plans, database, limits) {
    this.#plans = plans
    this.#database = database
    this.#limits = limits
  }

  #open() {
    // Not kept when it fails: the database may be there at the next query.
    this.#opening ??= this.#connect().catch((error) => {
      this.#opening = undefined
      throw error
    })
    return this.#opening
  }

  async #connect() {
    const adapter = await openPool(this.#database, this.#limits)
    const { connectMs, queryMs } = this.#limits
    const transactionOptions = { timeout: queryMs, maxWait: connectMs }
    const transactions = new TransactionManager({ ...BASE, driverAdapter: adapter, transactionOptions })
    this.#opened = { adapter, transactions, info: adapter.getConnectionInfo() }
    return this.#opened
  }

  /** The result of one query, inside the interactive transaction `transactionId` if there is one. */
  async run(query, transactionId) {
    const { plan, values } = this.#plans.plan(query)
    const { adapter, transactions } = this.#opened ?? (await this.#open())
    const raw = query.action === 'queryRaw'
    if (!transactionId) return this.#interpret(plan, values, adapter, { enabled: true, manager: transactions }, raw)
    const transaction = await transactions.getTransaction({ id: transactionId }, 'query')
    return this.#interpret(plan, values, transaction, { enabled: false }, raw)
  }

  async #interpret(plan, placeholderValues, queryable, transactionManager, raw) {
    const interpreter = QueryInterpreter.forSql({
      ...BASE,
      transactionManager,
      placeholderValues,
      connectionInfo: this.#opened.info,
    })
    const result = await interpreter.run(plan, queryable)
    return raw ? normalizeRawJsonProtocolResponse(result) : untag(result)
  }

  /** A plan for its caller to run: see Plans.forCaller. */
  compile(request) {
    return this.#plans.forCaller(request)
  }

  /** The results of `queries`, all or none of them done. */
  async batch(queries, isolationLevel, transactionId) {
    const id = transactionId ?? (await this.begin({ isolation_level: isolationLevel }))
    const results = []
    try {
      for (const query of queries) results.push(await this.run(query, id))
    } catch (error) {
      if (!transactionId) await this.rollback(id)
      throw error
    }
    if (!transactionId) await this.commit(id)
    return results
  }

  /** Begins an interactive transaction and returns its id. `timeout` and `max_wait` are milliseconds. */
  async begin({ timeout, max_wait: maxWait, isolation_level: isolationLevel }) {
    const { transactions } = await this.#open()
    const { connectMs, queryMs } = this.#limits
    try {
      const { id } = await transactions.startTransaction({
        timeout: timeout ?? queryMs,
        maxWait: maxWait ?? connectMs,
        isolationLevel: ISOLATION[isolationLevel],
      })
      return id
    } finally {
      this.#forgetUnstarted(transactions)
    }
  }

  /** Transactions that could not begin stay in Prisma's map for ever; an outage would fill the memory with them. */
  #forgetUnstarted(transactions) {
    const before = Date.now() - 2 * this.#limits.connectMs
    for (const [id, transaction] of transactions.transactions) {
      if (transaction.status === 'waiting' && transaction.startedAt < before) transactions.transactions.delete(id)
    }
  }

  async commit(id) {
    await (await this.#open()).transactions.commitTransaction(id)
  }

  async rollback(id) {
    await (await this.#open()).transactions.rollbackTransaction(id)
  }

  /** Connections by state, and callers waiting for one. */
  pool() {
    const { totalCount = 0, idleCount = 0, waitingCount = 0 } = this.#opened?.adapter.underlyingDriver() ?? {}
    return { open: totalCount, idle: idleCount, waiting: waitingCount }
  }

  /** Rolls open transactions back and closes the pool. */
  async close() {
    if (!this.#opened) return
    await this.#opened.transactions.cancelAllTransactions()
    await this.#opened.adapter.dispose()
  }
}
