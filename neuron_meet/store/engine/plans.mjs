// Query plans: Prisma's query compiler (WebAssembly, from @prisma/client) behind a cache by query shape.
//
// Compiling costs 0.1 to 0.45 ms, so two queries that differ in their values only share one plan: values under
// `where` and `data` become parameters (`{"$type": "Param"}` of Prisma's JSON protocol), filled in at each run.
import { readFileSync } from 'node:fs'
import * as bindings from '@prisma/client/runtime/query_compiler_bg.postgresql.mjs'
import { wasm } from '@prisma/client/runtime/query_compiler_bg.postgresql.wasm-base64.mjs'

/** Shapes kept. The server itself has a few dozen; the bound is for callers that build queries freely. */
const MAX_SHAPES = 500
/** A query with more values than this (a large createMany) is compiled as it is: its shape will not come again. */
const MAX_PARAMETERS = 64
/** Arguments whose leaves are values. What others hold (orderBy, take, cursor, distinct, by …) shapes the plan. */
const VALUE_ARGUMENTS = new Set(['where', 'data', 'create', 'update'])
/** Keys below those whose values shape the plan all the same. */
const SHAPING_KEYS = new Set(['mode', 'skipDuplicates'])
const NOT_CACHEABLE = Symbol('not cacheable')

/** Whether the compiler panicked: its memory is then in an unknown state and the process must not go on. */
export let panicked = false

/**
 * The query compiler for the schema in the file `schemaPath`.
 * `connectionInfo` is the driver adapter's (schema name, relation joins).
 */
function loadCompiler(schemaPath, connectionInfo) {
  globalThis.PRISMA_WASM_PANIC_REGISTRY = { set_message: () => void (panicked = true) }
  const module = new WebAssembly.Module(Buffer.from(wasm, 'base64'))
  const { exports } = new WebAssembly.Instance(module, { './query_compiler_bg.js': bindings })
  bindings.__wbg_set_wasm(exports)
  exports.__wbindgen_start()
  const datamodel = readFileSync(schemaPath, 'utf8')
  return new bindings.QueryCompiler({ datamodel, provider: 'postgres', connectionInfo })
}

/** A query with its values taken out: `text` is the shape, `values` the parameters by name. */
function parameterise(query) {
  const values = Object.create(null)
  let count = 0
  const take = (kind, value) => {
    // The kind is part of the name and so of the shape: a string never runs a plan checked for a number.
    const name = `${kind}${count++}`
    values[name] = value
    return { $type: 'Param', value: name }
  }
  const leaves = (node) => {
    if (typeof node === 'string') return take('s', node)
    if (typeof node === 'boolean') return take('b', node)
    if (node === null || typeof node !== 'object') return node // numbers: the compiler types them by their size
    if (Array.isArray(node)) return node.map(leaves)
    if (typeof node.$type === 'string') return node.$type === 'DateTime' ? take('d', node.value) : node // enums: shape
    const copy = {}
    for (const key in node) copy[key] = SHAPING_KEYS.has(key) ? node[key] : leaves(node[key])
    return copy
  }
  const field = (node) => {
    if (node === null || typeof node !== 'object') return node
    const copy = {}
    for (const key in node) {
      if (key === 'arguments') {
        copy.arguments = {}
        for (const name in node.arguments) {
          const argument = node.arguments[name]
          copy.arguments[name] = VALUE_ARGUMENTS.has(name) ? leaves(argument) : argument
        }
      } else if (key === 'selection') {
        copy.selection = {}
        for (const name in node.selection) copy.selection[name] = field(node.selection[name])
      } else {
        copy[key] = node[key]
      }
    }
    return copy
  }
  const template = { modelName: query.modelName, action: query.action, query: field(query.query) }
  return { text: JSON.stringify(template), values, count }
}

/** `plan` with the parameters replaced by their values. */
function fill(plan, values) {
  if (plan === null || typeof plan !== 'object') return plan
  if (Array.isArray(plan)) return plan.map((node) => fill(node, values))
  if (plan.prisma__type === 'param' && plan.prisma__value.name in values) return values[plan.prisma__value.name]
  const copy = {}
  for (const key in plan) copy[key] = fill(plan[key], values)
  return copy
}

/**
 * A plan as text. The compiler calls a number for an INTEGER column `bigint` (and gives it as text) and a parameter for
 * one `int`; only `forCaller` has such parameters, and gives their values as text.
 */
function compared(plan) {
  return JSON.stringify(plan).replaceAll('"scalarType":"int","dbType":"INTEGER"', '"scalarType":"bigint","dbType":"INTEGER"')
}

/** Query plans for one schema. */
export class Plans {
  #compiler
  #shapes = new Map()
  hits = 0
  misses = 0

  constructor(schemaPath, connectionInfo) {
    this.#compiler = loadCompiler(schemaPath, connectionInfo)
  }

  /**
   * The plan of a query of Prisma's JSON protocol and the values to run it with.
   * Throws what the compiler throws: an Error with `message`, `code` and `meta`.
   */
  plan(query) {
    // The compiler panics where these are missing.
    if (typeof query?.action !== 'string' || query.query === null || typeof query.query !== 'object') {
      throw Object.assign(new Error('A query needs `action` and `query`.'), { code: 'P2009' })
    }
    if (query.action === 'queryRaw' || query.action === 'executeRaw') return this.#compile(query)
    const { text, values, count } = parameterise(query)
    if (count > MAX_PARAMETERS) return this.#compile(query)
    let plan = this.#shapes.get(text)
    if (plan === undefined) {
      this.misses++
      const literal = this.#compile(query)
      plan = this.#shared(text, values, literal.plan)
      this.#remember(text, plan)
      return literal
    }
    if (plan === NOT_CACHEABLE) return this.#compile(query)
    this.hits++
    return { plan, values }
  }

  /**
   * The plan that a caller may run by itself for every query of the shape `template`, whose parameters are given their
   * values by name in `values` and make it `query`. Null where there is no such plan (see #shared), or the compiler
   * refuses the query.
   */
  forCaller({ query, template, values }) {
    try {
      const plan = this.#shared(JSON.stringify(template), values, this.#compile(query).plan)
      return plan === NOT_CACHEABLE ? null : plan
    } catch (error) {
      if (panicked) throw error
      return null
    }
  }

  #compile(query) {
    return { plan: this.#compiler.compile(JSON.stringify(query)), values: {} }
  }

  /**
   * The plan for every query of this shape. It is used only if, with the first query's values put in, it is exactly
   * the plan that the compiler makes for that query: whatever the compiler does with a value (escaping, coercing,
   * deciding) is so never skipped.
   */
  #shared(text, values, literal) {
    let plan
    try {
      plan = this.#compiler.compile(text)
    } catch {
      return NOT_CACHEABLE
    }
    return compared(fill(plan, values)) === compared(literal) ? plan : NOT_CACHEABLE
  }

  #remember(text, plan) {
    if (this.#shapes.size >= MAX_SHAPES) this.#shapes.delete(this.#shapes.keys().next().value)
    this.#shapes.set(text, plan)
  }
}
