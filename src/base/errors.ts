/**
 * The one registry of errors. A row says whether the operation certainly had no effect (`definite`), whether
 * the same call may be sent again (`retryable`), and what the reader should do. The client's retry, the wire
 * and the chaos checkers read the same row. Codes on the wire are the row's number: never reuse one.
 */

export interface ErrorRow {
  /** Number on the wire. */
  readonly wire: number;
  readonly code: string;
  /** True: the call had no effect and will have none. False: it may have had, or may yet have. */
  readonly definite: boolean;
  /** True: the same call id may be sent again inside the deadline. */
  readonly retryable: boolean;
  readonly doc: string;
}

/** Base of all errors that elsegrid reports; match on `code` or with `instanceof` on a subclass. */
export class GridError extends Error {
  readonly code: string;
  readonly definite: boolean;
  readonly retryable: boolean;

  constructor(row: ErrorRow, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = row.code;
    this.definite = row.definite;
    this.retryable = row.retryable;
    this.name = new.target.name;
  }
}

const definiteFinal = { definite: true, retryable: false } as const;
const definiteRetry = { definite: true, retryable: true } as const;
const indefiniteFinal = { definite: false, retryable: false } as const;

/** Every error there is. `npm run generated` fails when the reference page does not list exactly these. */
export const ERROR_ROWS = {
  Config: {
    wire: 1,
    code: 'ERR_CONFIG',
    ...definiteFinal,
    doc: 'An option is unknown or has a wrong value; the message names its path and the nearest right one.',
  },
  Protocol: {
    wire: 2,
    code: 'ERR_PROTOCOL',
    ...definiteFinal,
    doc: 'The other side sent something that this version does not understand; the connection is dropped.',
  },
  HandshakeRefused: {
    wire: 3,
    code: 'ERR_HANDSHAKE_REFUSED',
    ...definiteFinal,
    doc: 'The other side refused the connection: cluster name, protocol version or partition count differ.',
  },
  Connect: {
    wire: 4,
    code: 'ERR_CONNECT',
    ...definiteFinal,
    doc: 'No member could be reached inside connectTimeoutMs; the message lists each address with its reason.',
  },
  PortInUse: {
    wire: 5,
    code: 'ERR_PORT_IN_USE',
    ...definiteFinal,
    doc: 'The port is taken by another process; choose another one or 0 for a free one.',
  },
  ClientClosed: {
    wire: 6,
    code: 'ERR_CLIENT_CLOSED',
    ...definiteFinal,
    doc: 'The client or member was shut down before the call was sent.',
  },
  WrongTarget: {
    wire: 7,
    code: 'ERR_WRONG_TARGET',
    ...definiteRetry,
    doc: 'The member is not the primary of the partition, or knows a newer view; the call is routed again.',
  },
  NotServing: {
    wire: 8,
    code: 'ERR_NOT_SERVING',
    ...definiteRetry,
    doc: 'The primary of the partition is taking over and does not serve yet.',
  },
  PartitionUnavailable: {
    wire: 9,
    code: 'ERR_PARTITION_UNAVAILABLE',
    ...definiteRetry,
    doc: 'No member of the view holds a synced replica of the partition; it waits for one of its last holders.',
  },
  NoMajority: {
    wire: 10,
    code: 'ERR_NO_MAJORITY',
    ...definiteRetry,
    doc: 'The member does not hear a majority of its view and has stopped serving.',
  },
  Overload: {
    wire: 11,
    code: 'ERR_OVERLOAD',
    ...definiteRetry,
    doc: 'A bounded queue or window is full; retry later, or send less at a time.',
  },
  NotEnoughBackups: {
    wire: 12,
    code: 'ERR_NOT_ENOUGH_BACKUPS',
    ...definiteFinal,
    doc: 'Fewer synced sync backups than minSynced; the write was refused before it was applied.',
  },
  ValueTooLarge: {
    wire: 13,
    code: 'ERR_VALUE_TOO_LARGE',
    ...definiteFinal,
    doc: 'A key or value is larger than the limit; nothing was sent.',
  },
  Timeout: {
    wire: 14,
    code: 'ERR_TIMEOUT',
    ...definiteFinal,
    doc: 'The deadline passed and the call certainly had no effect; the cause is the last refusal.',
  },
  Indeterminate: {
    wire: 15,
    code: 'ERR_INDETERMINATE',
    ...indefiniteFinal,
    doc: 'It is unknown whether the call took effect; resolve() asks again under the same call id.',
  },
  Bulk: {
    wire: 16,
    code: 'ERR_BULK',
    ...indefiniteFinal,
    doc: 'A bulk call did not succeed for every key; done, refused and indeterminate list which.',
  },
  OperationFailed: {
    wire: 17,
    code: 'ERR_OPERATION_FAILED',
    ...definiteFinal,
    doc: 'The operation was refused by the structure; nothing was changed.',
  },
  Lineage: {
    wire: 19,
    code: 'ERR_LINEAGE',
    ...indefiniteFinal,
    doc: 'The call began in another lineage of the cluster; whether it took effect there is unknown here.',
  },
  NoLease: {
    wire: 22,
    code: 'ERR_NO_LEASE',
    ...definiteRetry,
    doc: 'The structure is consistent (PC), or a map that writes through to a store, and the member cannot prove at this moment that it belongs to the majority.',
  },
  InFork: {
    wire: 23,
    code: 'ERR_IN_FORK',
    ...definiteRetry,
    doc: 'The structure is consistent (PC), and the member is on a side of a split without the majority; it serves again after the heal.',
  },
  NotFounded: {
    wire: 24,
    code: 'ERR_NOT_FOUNDED',
    ...definiteFinal,
    doc: 'The structure is consistent (PC), and the cluster was not founded by an order: run `elsegrid cluster found` once, or start the first member with founds: true.',
  },
  SplitBrainProtection: {
    wire: 25,
    code: 'ERR_SPLIT_BRAIN_PROTECTION',
    ...definiteFinal,
    doc: 'Fewer members are heard than the split-brain protection of the structure asks for; the call was refused before it was applied.',
  },
  OtherLineage: {
    wire: 26,
    code: 'ERR_OTHER_LINEAGE',
    ...definiteRetry,
    doc: 'The member is in another lineage (a fork, or the other side of a heal) than the caller; the call is routed again.',
  },
  TooStale: {
    wire: 27,
    code: 'ERR_TOO_STALE',
    ...definiteRetry,
    doc: 'A replica cannot answer as fresh as the call asks for (maxStalenessMs, or what its session has seen), and the primary cannot be reached.',
  },
  SessionLost: {
    wire: 28,
    code: 'ERR_SESSION_LOST',
    ...definiteFinal,
    doc: 'What the session has seen is not part of the data any more: it died with a primary that had not passed it on, or its lineage was merged away. Begin a new session.',
  },
  SessionToken: {
    wire: 29,
    code: 'ERR_SESSION_TOKEN',
    ...definiteFinal,
    doc: 'What was given to grid.session() is no token of this cluster: it is damaged, cut off, or of another one.',
  },
  LoadFailed: {
    wire: 30,
    code: 'ERR_LOAD_FAILED',
    ...definiteFinal,
    doc: 'The loader of getOrLoad threw (see the cause), took longer than loadTimeoutMs, or its key was written again and again while it ran; it stored nothing.',
  },
  StoreFailed: {
    wire: 53,
    code: 'ERR_STORE_FAILED',
    ...definiteFinal,
    doc: 'The store of the map threw (the message has its text), could not be made, took longer than timeoutMs, or must not be written to on this side of a split; the map did not take the call, and the store does not have the write. Where the store may have it the error is ERR_INDETERMINATE.',
  },
  StoreOverload: {
    wire: 55,
    code: 'ERR_STORE_OVERLOAD',
    ...definiteRetry,
    doc: 'The store of the map lacks as many writes as maxPending allows, because it is slow, or down; or the member has as many stores in use, or loads as many maps as a whole, as it can.',
  },
  ListenersFull: {
    wire: 42,
    code: 'ERR_LISTENERS_FULL',
    ...definiteFinal,
    doc: 'The process, or a member, has as many listeners as it takes; remove some, or listen with one and pass on what it is told.',
  },
  EventToken: {
    wire: 43,
    code: 'ERR_EVENT_TOKEN',
    ...definiteFinal,
    doc: 'What was given as `from` is no token of events of this structure: it is damaged, cut off, or of another one.',
  },
  Safety: {
    wire: 20,
    code: 'ERR_NOT_SAFE',
    ...definiteFinal,
    doc: 'waitUntilSafe ran out of time; the message says what is missing.',
  },
  LeaveTimeout: {
    wire: 21,
    code: 'ERR_LEAVE_TIMEOUT',
    ...definiteFinal,
    doc: 'A graceful leave could not hand over everything in time; the message says what was left.',
  },
  NotLockOwner: {
    wire: 50,
    code: 'ERR_NOT_LOCK_OWNER',
    ...definiteFinal,
    doc: 'unlock of a key whose lock the caller does not hold; the message says who does. Unlock it through the same owner (with({ lockOwner })) or session that locked it, or use forceUnlock.',
  },
  KeyLocked: {
    wire: 51,
    code: 'ERR_KEY_LOCKED',
    ...definiteRetry,
    doc: 'The key stayed locked by somebody else until the deadline of the call, which had no effect; the message says by whom. Try again, or give it more time.',
  },
  LockLost: {
    wire: 52,
    code: 'ERR_LOCK_LOST',
    ...definiteFinal,
    doc: 'The lock was taken from this session before it was unlocked: its lease ended, nothing was heard of the session for too long, or somebody called forceUnlock. Others may have written under it; begin again.',
  },
  QuerySyntax: {
    wire: 44,
    code: 'ERR_QUERY_SYNTAX',
    ...definiteFinal,
    doc: 'The text of a query could not be read; position says where (characters from its start), expected what could stand there.',
  },
  ValueNotReadable: {
    wire: 45,
    code: 'ERR_VALUE_NOT_READABLE',
    ...definiteFinal,
    doc: 'A query had to look into a key or value that members cannot decode, because it was written with a serializer of its own. Ask by __key alone, store what is asked for without the serializer, or filter in the caller while iterating.',
  },
  QueryTooLarge: {
    wire: 46,
    code: 'ERR_QUERY_TOO_LARGE',
    ...definiteFinal,
    doc: 'A query would take more memory or time than one may: too many distinct values, or a text too long for a regular expression; the message says which limit.',
  },
  OrderRefused: {
    wire: 32,
    code: 'ERR_ORDER_REFUSED',
    ...definiteFinal,
    doc: 'The cluster refused an order of a person, for example a preset that the backups of a structure cannot carry; the message gives the reason, and nothing was changed.',
  },
  UnknownFunction: {
    wire: 47,
    code: 'ERR_UNKNOWN_FUNCTION',
    ...definiteFinal,
    doc: 'No entry processor or function of this name is registered at the member that holds the data; the message lists those that are. Register it at every member.',
  },
  FunctionFailed: {
    wire: 48,
    code: 'ERR_FUNCTION_FAILED',
    ...definiteFinal,
    doc: 'An entry processor or function threw, returned a promise, or made what cannot be stored; the message says what it threw, and nothing was changed.',
  },
  SerializerMissing: {
    wire: 49,
    code: 'ERR_SERIALIZER_MISSING',
    ...definiteFinal,
    doc: 'A value was written with a custom serializer, and the member that runs a function on it has none: call registry.serializer at every member, in code or in a module of --load.',
  },
} as const satisfies Record<string, ErrorRow>;

export type ErrorName = keyof typeof ERROR_ROWS;

export class ConfigError extends GridError {
  /** Dotted path of the option, for example `maps.users.backups.sync`. */
  readonly path: string;
  constructor(path: string, message: string) {
    super(ERROR_ROWS.Config, path === '' ? message : `${path}: ${message}`);
    this.path = path;
  }
}

function define(row: ErrorRow) {
  return class extends GridError {
    constructor(message: string, options?: ErrorOptions) {
      super(row, message, options);
    }
  };
}

export class ProtocolError extends define(ERROR_ROWS.Protocol) {}
export class HandshakeRefusedError extends define(ERROR_ROWS.HandshakeRefused) {}
export class ConnectError extends define(ERROR_ROWS.Connect) {}
export class PortInUseError extends define(ERROR_ROWS.PortInUse) {}
export class ClientClosedError extends define(ERROR_ROWS.ClientClosed) {}
export class WrongTargetError extends define(ERROR_ROWS.WrongTarget) {}
export class NotServingError extends define(ERROR_ROWS.NotServing) {}
export class PartitionUnavailableError extends define(ERROR_ROWS.PartitionUnavailable) {}
export class NoMajorityError extends define(ERROR_ROWS.NoMajority) {}
export class OverloadError extends define(ERROR_ROWS.Overload) {}
export class NotEnoughBackupsError extends define(ERROR_ROWS.NotEnoughBackups) {}
export class ValueTooLargeError extends define(ERROR_ROWS.ValueTooLarge) {}
export class TimeoutError extends define(ERROR_ROWS.Timeout) {}
export class OperationFailedError extends define(ERROR_ROWS.OperationFailed) {}
export class LineageError extends define(ERROR_ROWS.Lineage) {}
export class NoLeaseError extends define(ERROR_ROWS.NoLease) {}
export class InForkError extends define(ERROR_ROWS.InFork) {}
export class NotFoundedError extends define(ERROR_ROWS.NotFounded) {}
export class SplitBrainProtectionError extends define(ERROR_ROWS.SplitBrainProtection) {}
export class OtherLineageError extends define(ERROR_ROWS.OtherLineage) {}
export class TooStaleError extends define(ERROR_ROWS.TooStale) {}
export class SessionLostError extends define(ERROR_ROWS.SessionLost) {}
export class SessionTokenError extends define(ERROR_ROWS.SessionToken) {}
export class LoadFailedError extends define(ERROR_ROWS.LoadFailed) {}
export class ListenersFullError extends define(ERROR_ROWS.ListenersFull) {}
export class EventTokenError extends define(ERROR_ROWS.EventToken) {}
export class StoreFailedError extends define(ERROR_ROWS.StoreFailed) {}
export class StoreOverloadError extends define(ERROR_ROWS.StoreOverload) {}
export class SafetyError extends define(ERROR_ROWS.Safety) {}
export class LeaveTimeoutError extends define(ERROR_ROWS.LeaveTimeout) {}
export class NotLockOwnerError extends define(ERROR_ROWS.NotLockOwner) {}
export class KeyLockedError extends define(ERROR_ROWS.KeyLocked) {}
export class LockLostError extends define(ERROR_ROWS.LockLost) {}
export class OrderRefusedError extends define(ERROR_ROWS.OrderRefused) {}
export class UnknownFunctionError extends define(ERROR_ROWS.UnknownFunction) {}
export class FunctionFailedError extends define(ERROR_ROWS.FunctionFailed) {}
export class SerializerMissingError extends define(ERROR_ROWS.SerializerMissing) {}
export class ValueNotReadableError extends define(ERROR_ROWS.ValueNotReadable) {}
export class QueryTooLargeError extends define(ERROR_ROWS.QueryTooLarge) {}

/** The text of a query could not be read. */
export class QuerySyntaxError extends define(ERROR_ROWS.QuerySyntax) {
  /** Characters of the text in front of the place; -1 when a member told it. */
  readonly position: number;
  /** What could stand there. */
  readonly expected: string;

  constructor(message: string, position = -1, expected = '') {
    super(message);
    this.position = position;
    this.expected = expected;
  }
}

/** What `resolve()` found out about a call whose outcome was unknown. */
export type Resolution<T> =
  | { readonly outcome: 'done'; readonly reply: T }
  | { readonly outcome: 'not done' }
  | { readonly outcome: 'unknown' };

/** The outcome of a call is unknown. `resolve()` asks the grid again under the same call id. */
export class IndeterminateError extends GridError {
  readonly #resolve: () => Promise<Resolution<unknown>>;

  constructor(message: string, resolve: () => Promise<Resolution<unknown>>, options?: ErrorOptions) {
    super(ERROR_ROWS.Indeterminate, message, options);
    this.#resolve = resolve;
  }

  /** Done (with the reply), certainly not done, or still unknown. Never rejects. */
  resolve(): Promise<Resolution<unknown>> {
    return this.#resolve();
  }
}

/** One key of a bulk call that did not succeed. */
export interface BulkFailure {
  readonly key: unknown;
  readonly error: Error;
}

/** A bulk call that did not succeed for every key. */
export class BulkError extends GridError {
  readonly done: readonly unknown[];
  readonly refused: readonly BulkFailure[];
  readonly indeterminate: readonly BulkFailure[];

  constructor(
    message: string,
    done: readonly unknown[],
    refused: readonly BulkFailure[],
    indeterminate: readonly BulkFailure[],
  ) {
    super(ERROR_ROWS.Bulk, message, { cause: indeterminate[0]?.error ?? refused[0]?.error });
    this.done = done;
    this.refused = refused;
    this.indeterminate = indeterminate;
  }
}

const CLASSES: Partial<Record<ErrorName, new (message: string) => GridError>> = {
  Protocol: ProtocolError,
  HandshakeRefused: HandshakeRefusedError,
  Connect: ConnectError,
  PortInUse: PortInUseError,
  ClientClosed: ClientClosedError,
  WrongTarget: WrongTargetError,
  NotServing: NotServingError,
  PartitionUnavailable: PartitionUnavailableError,
  NoMajority: NoMajorityError,
  Overload: OverloadError,
  NotEnoughBackups: NotEnoughBackupsError,
  ValueTooLarge: ValueTooLargeError,
  Timeout: TimeoutError,
  OperationFailed: OperationFailedError,
  Lineage: LineageError,
  NoLease: NoLeaseError,
  InFork: InForkError,
  NotFounded: NotFoundedError,
  SplitBrainProtection: SplitBrainProtectionError,
  OtherLineage: OtherLineageError,
  TooStale: TooStaleError,
  SessionLost: SessionLostError,
  SessionToken: SessionTokenError,
  LoadFailed: LoadFailedError,
  ListenersFull: ListenersFullError,
  EventToken: EventTokenError,
  StoreFailed: StoreFailedError,
  StoreOverload: StoreOverloadError,
  Safety: SafetyError,
  LeaveTimeout: LeaveTimeoutError,
  NotLockOwner: NotLockOwnerError,
  KeyLocked: KeyLockedError,
  LockLost: LockLostError,
  OrderRefused: OrderRefusedError,
  UnknownFunction: UnknownFunctionError,
  FunctionFailed: FunctionFailedError,
  SerializerMissing: SerializerMissingError,
  QuerySyntax: QuerySyntaxError,
  ValueNotReadable: ValueNotReadableError,
  QueryTooLarge: QueryTooLargeError,
};

const BY_WIRE = new Map<number, ErrorName>(
  (Object.keys(ERROR_ROWS) as ErrorName[]).map((name) => [ERROR_ROWS[name].wire, name]),
);

/** The error that a member reported by its wire number; an unknown number becomes a `ProtocolError`. */
export function errorFromWire(wire: number, message: string): GridError {
  const name = BY_WIRE.get(wire);
  const ErrorClass = name === undefined ? undefined : CLASSES[name];
  if (name === undefined) return new ProtocolError(`unknown error number ${wire}: ${message}`);
  return ErrorClass === undefined ? new GridError(ERROR_ROWS[name], message) : new ErrorClass(message);
}

/** The name in the registry of an error that the grid has made. */
export function errorNameOf(error: GridError): ErrorName {
  const names = Object.keys(ERROR_ROWS) as ErrorName[];
  return names.find((name) => ERROR_ROWS[name].code === error.code) ?? 'OperationFailed';
}

/** The registry row behind an error number of the wire. */
export function errorRow(wire: number): ErrorRow | undefined {
  const name = BY_WIRE.get(wire);
  return name === undefined ? undefined : ERROR_ROWS[name];
}

/** An error of the same kind with another message; the first one is its cause. */
export function sameKind(error: GridError, message: string): GridError {
  const Kind = error.constructor as new (message: string, options?: ErrorOptions) => GridError;
  return new Kind(message, { cause: error });
}
