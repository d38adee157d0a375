// The query-engine host: Prisma's query engine for one server process, made of Prisma's own JavaScript and
// WebAssembly parts (docs/architecture.md, "Prisma"). It speaks the engine's HTTP protocol with JSON queries.
//
// Start: node host.mjs, with one line of JSON on standard input (see `configuration` below; it is not in the
// environment or the arguments because it holds the database password and this process's secret). Standard input
// stays open: its end means that the server has gone, by whatever way, and ends this process.
// Standard output: one line of JSON, {"port": n} or {"error": "what to do"}. Standard error: for the log, no data.
import { createHash, timingSafeEqual } from 'node:crypto'
import { createServer } from 'node:http'
import { createInterface } from 'node:readline'

/** Longest wait for transactions and connections to end, in ms. */
const CLOSE_MS = 1_000
/** Largest request. The server's own stay below 200 kB; a createMany of another caller may be large. */
const MAX_BODY_BYTES = 64 * 1024 * 1024

/** Where an error came from and what it is, without its message: that may quote a query's values. */
function trace(error) {
  const frames = String(error?.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line)).slice(0, 6)
  return [error?.name ?? typeof error, error?.code, ...frames.map((line) => line.trim())].filter(Boolean).join(' | ')
}

function log(event, error) {
  process.stderr.write(`${event}: ${trace(error)}\n`)
}

function announce(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`)
}

/** The first line of standard input. Its end, then or later, calls `onEnd`. */
function configuration(onEnd) {
  return new Promise((resolve) => {
    const lines = createInterface({ input: process.stdin })
    lines.once('line', (line) => resolve(JSON.parse(line)))
    lines.once('close', onEnd)
  })
}

function digest(text) {
  return createHash('sha256').update(text).digest()
}

/** The whole body of a request as text; rejects when it is too large or cut off. */
function read(request) {
  return new Promise((resolve, reject) => {
    const chunks = []
    let size = 0
    request.on('data', (chunk) => {
      size += chunk.length
      if (size > MAX_BODY_BYTES) request.destroy(new Error('too large'))
      else chunks.push(chunk)
    })
    request.once('end', () => resolve(Buffer.concat(chunks).toString('utf8')))
    request.once('error', reject)
    request.once('aborted', () => reject(new Error('aborted')))
  })
}

/** Answers one request of the engine protocol; undefined for a path that it does not know. */
async function answer(interpreter, method, path, body, transactionId) {
  if (method === 'GET' && path === '/status') return { status: 'ok' }
  if (method === 'GET' && path === '/metrics') return { pool: interpreter.pool() }
  if (method !== 'POST') return undefined
  if (path === '/') {
    if (!Array.isArray(body.batch)) return { data: { result: await interpreter.run(body, transactionId) } }
    const results = await interpreter.batch(body.batch, body.transaction?.isolationLevel, transactionId)
    return { batchResult: results.map((result) => ({ data: { result } })) }
  }
  if (path === '/compile') return { plan: interpreter.compile(body) }
  if (path === '/transaction/start') return { id: await interpreter.begin(body) }
  const [, id, end] = /^\/transaction\/([\w-]+)\/(commit|rollback)$/.exec(path) ?? []
  if (!id) return undefined
  await interpreter[end](id)
  return {}
}

async function main() {
  let interpreter
  let closing = false
  const close = async () => {
    if (closing) return
    closing = true
    setTimeout(() => process.exit(0), CLOSE_MS)
    await interpreter?.close().catch((error) => log('close', error))
    process.exit(0)
  }
  process.once('SIGTERM', close)
  process.on('SIGINT', () => {}) // Ctrl-C reaches the whole process group; the server ends this process in its turn
  process.on('unhandledRejection', (error) => log('unhandled rejection', error))
  process.on('uncaughtException', (error) => {
    log('uncaught exception', error)
    process.exit(1)
  })

  const config = await configuration(close)
  let parts
  try {
    // Names as they are, not in a list: the bundle of a wheel is made from them (setup/wheel.py).
    parts = await Promise.all([
      import('./plans.mjs'),
      import('./interpreter.mjs'),
      import('./failures.mjs'),
      import('@prisma/client-engine-runtime'),
    ])
  } catch (error) {
    if (error?.code !== 'ERR_MODULE_NOT_FOUND') throw error
    announce({ error: "Prisma's npm packages are not installed. Run: make setup" })
    return process.exit(1)
  }
  const [plans, { Interpreter }, { describe }, { safeJsonStringify }] = parts
  const info = { schemaName: config.database.schema, supportsRelationJoins: true }
  const limits = { ...config.limits, onError: (error) => log('database connection lost', error) }
  interpreter = new Interpreter(new plans.Plans(config.schemaPath, info), config.database, limits)

  const secret = digest(config.secret)
  const server = createServer(async (request, response) => {
    const send = (status, value) => {
      const text = safeJsonStringify(value)
      response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
      response.end(text)
    }
    if (!timingSafeEqual(digest(request.headers['x-engine-secret'] ?? ''), secret)) {
      response.shouldKeepAlive = false
      return send(401, { error: 'The engine serves only the process that started it.' })
    }
    let text
    try {
      text = await read(request)
    } catch {
      return request.destroy()
    }
    try {
      const body = text ? JSON.parse(text) : {}
      const value = await answer(interpreter, request.method, request.url, body, request.headers['x-transaction-id'])
      return value === undefined ? send(404, { error: 'No such path.' }) : send(200, value)
    } catch (error) {
      send(200, { errors: [describe(error)] })
      if (plans.panicked) {
        log('query compiler panicked', error)
        process.exitCode = 1
        response.once('close', () => process.exit(1))
      }
    }
  })
  // The client ends idle connections, never this side: a query is then never written to a connection being closed.
  server.keepAliveTimeout = 0
  server.requestTimeout = 0
  server.listen(config.port ?? 0, '127.0.0.1', () => announce({ port: server.address().port }))
}

await main()
