/**
 * What each operation of an atomic long does with its value. A call that changes nothing waits for what it saw; one
 * that changes something waits for its own position, which lies behind all that it saw.
 */
import type { Reader } from '../../../src/base/bytes.js';
import { FunctionFailedError } from '../../../src/base/errors.js';
import type { RequestOf } from '../../../src/wire/message.js';
import type {
  MergeContext,
  OperationContext,
  PurgeHorizon,
  Service,
  StateEnvironment,
} from '../../service.js';
import type { HandlersOf } from '../structure.js';
import { ATOMIC_LONG_OPERATIONS } from './ops.js';
import { AtomicLongState, additionOf } from './state.js';

const DONE = {};

const handlers: HandlersOf<AtomicLongState, typeof ATOMIC_LONG_OPERATIONS> = {
  get: (state, _request, context) => ({ value: state.look(context) }),

  set(state, { value }, context) {
    state.set(value, context);
    return DONE;
  },

  getAndSet(state, request, context) {
    const { value } = state;
    state.set(request.value, context);
    return { value };
  },

  getAndAdd(state, { delta }, context) {
    const { value } = state;
    state.add(delta, context);
    return { value };
  },

  compareAndSet(state, { expected, value }, context) {
    const changed = state.look(context) === expected;
    if (changed) state.set(value, context);
    return { changed };
  },

  alter(state, request, context) {
    const { value: before } = state;
    const after = applied(before, request, context);
    state.set(after, context);
    return { before, after };
  },

  apply: (state, request, context) => ({ value: applied(state.look(context), request, context) }),

  destroy(state, _request, context) {
    state.look(context);
    if (!state.isRemoved) state.set(null, context);
    return DONE;
  },
};

/** What a registered function makes of a value; throws before anything is changed when that is no 64-bit integer. */
function applied(
  value: bigint,
  request: RequestOf<typeof ATOMIC_LONG_OPERATIONS.alter>,
  { functions }: OperationContext,
): bigint {
  const name = request.function;
  const apply = functions.longs.get(name);
  const argument = functions.argument(request.argument);
  const result: unknown = functions.run('function', name, () => apply(value, argument));
  if (typeof result !== 'bigint')
    throw new FunctionFailedError(`function ${name} returned a ${typeof result}: expected a bigint`);
  if (BigInt.asIntN(64, result) !== result)
    throw new FunctionFailedError(`function ${name} returned a number that does not fit into 64 bits`);
  return result;
}

export const atomicLongService: Service = {
  id: 2,
  name: 'atomicLong',
  placedBy: 'name',
  operations: Object.values(ATOMIC_LONG_OPERATIONS),
  createState: (environment: StateEnvironment) => new AtomicLongState(environment),
  handlers,
  additionOf,
  merge: (state: AtomicLongState, records: Reader, merge: MergeContext) => state.merge(records, merge),
  purge(state: AtomicLongState, _cursor: number, horizon: PurgeHorizon, context: OperationContext): number {
    state.purge(horizon, context);
    return -1;
  },
};
