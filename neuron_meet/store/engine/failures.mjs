// What went wrong, in the query engine protocol's shape: {error, user_facing_error: {error_code, message, meta}}.
//
// Codes are Prisma's (https://www.prisma.io/docs/orm/reference/error-reference); Prisma Client Python picks its
// exception by them. Messages carry names of constraints, columns and hosts, never values of a query.
import { UserFacingError } from '@prisma/client-engine-runtime'

/** Connections that ended or were never made. Node's and PostgreSQL's codes (its appendix A, classes 08 and 57P). */
const CODES = {
  ECONNREFUSED: 'P1001',
  ENOTFOUND: 'P1001',
  EAI_AGAIN: 'P1001',
  ENOENT: 'P1001', // the unix socket is not there
  EACCES: 'P1001',
  EHOSTUNREACH: 'P1001',
  ENETUNREACH: 'P1001',
  ETIMEDOUT: 'P1001',
  ECONNRESET: 'P1017',
  EPIPE: 'P1017',
  '08000': 'P1017',
  '08001': 'P1001',
  '08003': 'P1017',
  '08006': 'P1017',
  '57P01': 'P1017', // the administrator ends the connection
  '57P02': 'P1017', // crash of another server process
  '57P03': 'P1001', // starting up or shutting down
  '57014': 'P1008', // statement_timeout
  '28000': 'P1010',
  '28P01': 'P1000',
  '3D000': 'P1003',
  42501: 'P1010', // no privilege on a table
  '40P01': 'P2034', // deadlock
  '22021': 'P2019', // a character that PostgreSQL cannot store
  53300: 'P2037',
}
/** Messages of node-postgres errors that have no code (pg and pg-pool, 8.x and 3.x). */
const MESSAGES = [
  [/timeout exceeded when trying to connect/, 'P2024'],
  [/Connection terminated due to connection timeout|timeout expired/, 'P1001'],
  [/Connection terminated|connection error and is not queryable|Client was closed|Cannot use a pool/, 'P1017'],
  [/Query read timeout/, 'P1008'],
  [/^SASL: /, 'P1000'],
  [/does not support SSL|SSL connection|certificate/i, 'P1011'],
]
const TEXTS = {
  P1000: 'The database refused the user name or password.',
  P1001: "Can't reach the database server.",
  P1003: 'The database does not exist on the database server.',
  P1008: 'The database did not answer in time.',
  P1010: 'The database denied access to this user.',
  P1011: 'Error opening a TLS connection to the database.',
  P1017: 'The database server has closed the connection.',
  P2019: 'Input error: text contains a character that PostgreSQL cannot store, such as U+0000.',
  P2024: 'No database connection became free in time.',
  P2034: 'Transaction failed due to a write conflict or a deadlock. Please retry your transaction.',
  P2037: 'The database server has too many connections open.',
}
/** Codes that UserFacingError already has and that say more than a raw query's P2010. */
const KINDS = {
  DatabaseNotReachable: 'P1001',
  SocketTimeout: 'P1008',
  ConnectionClosed: 'P1017',
  AuthenticationFailed: 'P1000',
  DatabaseDoesNotExist: 'P1003',
  DatabaseAccessDenied: 'P1010',
  TlsConnectionError: 'P1011',
  TooManyConnections: 'P2037',
  TransactionWriteConflict: 'P2034',
}

function failure(code, message, meta = {}) {
  return { error: message, user_facing_error: { is_panic: false, message, meta, error_code: code } }
}

function known(code) {
  return failure(code, TEXTS[code])
}

/** The code of a connection problem or of a PostgreSQL error that Prisma's adapter left unmapped. */
function foreignCode(error) {
  const cause = error?.cause
  const own = CODES[cause?.originalCode] ?? CODES[cause?.code] ?? CODES[error?.code] ?? KINDS[cause?.kind]
  if (own) return own
  // A name with an IPv6 and an IPv4 address fails with one error for each (AggregateError).
  if (Array.isArray(error?.errors)) return foreignCode(error.errors[0])
  return MESSAGES.find(([pattern]) => pattern.test(error?.message ?? ''))?.[1]
}

/** `meta` as Prisma's own engines give it (target, field_name, table …), without the driver's error object. */
function metaOf(error) {
  const { driverAdapterError, ...meta } = error.meta
  const cause = driverAdapterError?.cause
  if (!cause) return meta
  const constraint = cause.constraint
  if (error.code === 'P2002') meta.target = (constraint?.fields ?? []).map((name) => name.replaceAll('"', ''))
  if (error.code === 'P2003') meta.field_name = constraint?.index ?? constraint?.fields?.join(', ') ?? null
  if (error.code === 'P2021') meta.table = cause.table ?? null
  if (error.code === 'P2022') meta.column = cause.column ?? null
  return meta
}

/**
 * PostgreSQL 18 has a code of its own for a row kept by ON DELETE RESTRICT, which Prisma's adapter does not know yet.
 * Its message names tables and the constraint only.
 */
function restricted(error) {
  const cause = error?.cause
  if (cause?.originalCode !== '23001') return undefined
  const constraint = / constraint "([^"]+)"/.exec(cause.originalMessage ?? '')?.[1] ?? null
  const message = `Foreign key constraint violated on the constraint: \`${constraint}\``
  return failure('P2003', message, { field_name: constraint })
}

/** A raw query's error: PostgreSQL's code only, because its message can quote the query's values. */
function rawFailure(error) {
  const cause = error.meta.driverAdapterError?.cause
  if (cause?.kind === 'UnsupportedNativeDataType') {
    const message = `Raw query failed. A column has the type ${cause.type}, which Prisma cannot read: cast it to text.`
    return failure('P2010', message, { code: 'N/A', message })
  }
  const code = cause?.originalCode ?? 'N/A'
  const message = `Raw query failed. Code: \`${code}\`.`
  return failure('P2010', message, { code, message })
}

/** Kinds of compiler errors whose message names fields and types only. Others may quote a value. */
const NAMING_KINDS = new Set([
  'EmptySelection',
  'InvalidArgumentType',
  'RequiredArgumentMissing',
  'SelectionSetOnScalar',
  'TooManyFieldsGiven',
  'UnknownArgument',
  'UnknownInputField',
  'UnknownSelectionField',
])

/** What the query compiler refuses: where and what kind, with its message if that cannot quote a value. */
function invalidQuery(error) {
  const place = ({ kind, selectionPath = [], argumentPath }) => ({
    kind,
    selectionPath,
    ...(argumentPath ? { argumentPath } : {}),
  })
  const given = error.meta ?? {}
  const meta = { ...place(given), ...(given.errors ? { errors: given.errors.map(place) } : {}) }
  const path = [...meta.selectionPath, ...(meta.argumentPath ?? [])].join('.')
  const message = NAMING_KINDS.has(meta.kind) ? error.message : `Invalid query: ${meta.kind ?? 'malformed'} at \`${path}\`.`
  return failure(error.code, message, meta)
}

/** The protocol's error object for anything thrown while a request was served. Never throws. */
export function describe(error) {
  if (error instanceof UserFacingError) {
    const adapterError = error.meta?.driverAdapterError
    const foreign = adapterError && foreignCode(adapterError)
    if (foreign) return known(foreign)
    const restriction = restricted(adapterError)
    if (restriction) return restriction
    if (error.code === 'P2010') return rawFailure(error)
    const described = failure(error.code, error.message, metaOf(error))
    // Prisma Client Python tells an expired transaction by the start of this text.
    described.error = error.message.replace(/^Transaction API error: /, '')
    return described
  }
  const foreign = foreignCode(error)
  if (foreign) return known(foreign)
  if (typeof error?.code === 'string' && /^P\d{4}$/.test(error.code)) {
    return error.code === 'P2028' ? failure(error.code, error.message) : invalidQuery(error)
  }
  const restriction = restricted(error)
  if (restriction) return restriction
  const state = error?.cause?.originalCode
  if (state) return failure(undefined, `The database refused the query (PostgreSQL error ${state}).`)
  return failure(undefined, `The query engine could not run the query (${error?.name ?? 'unknown error'}).`)
}
