/** What each operation of a topic does. It has no reads: whoever wants its messages listens. */
import type { Reader } from '../../../src/base/bytes.js';
import { ValueTooLargeError } from '../../../src/base/errors.js';
import type {
  MergeContext,
  OperationContext,
  PurgeHorizon,
  Service,
  StateEnvironment,
} from '../../service.js';
import type { HandlersOf } from '../structure.js';
import { MAX_TOGETHER_BYTES, TOPIC_OPERATIONS } from './ops.js';
import { TopicState } from './state.js';

const DONE = {};

const handlers: HandlersOf<TopicState, typeof TOPIC_OPERATIONS> = {
  publish(state, { messages }, context) {
    const sizeBytes = messages.reduce((sum, { length }) => sum + length, 0);
    if (messages.length > 1 && sizeBytes > MAX_TOGETHER_BYTES) {
      const limit = `the limit is ${MAX_TOGETHER_BYTES} bytes`;
      throw new ValueTooLargeError(`messages: they have ${sizeBytes} bytes together; ${limit}`);
    }
    if (messages.length > 0) state.publish(messages, context);
    return DONE;
  },

  destroy(state, _request, context) {
    state.destroy(context);
    return DONE;
  },
};

export const topicService: Service = {
  id: 5,
  name: 'topic',
  placedBy: 'name',
  operations: Object.values(TOPIC_OPERATIONS),
  createState: (environment: StateEnvironment) => new TopicState(environment),
  handlers,
  merge: (state: TopicState, records: Reader, merge: MergeContext) => state.merge(records, merge),
  purge(state: TopicState, _cursor: number, horizon: PurgeHorizon, context: OperationContext): number {
    state.purge(horizon, context);
    return -1;
  },
};
