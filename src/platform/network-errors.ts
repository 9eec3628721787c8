/**
 * Turns what Node and ws report about sockets into words for people and into errors of the registry.
 * The transport calls it; the words end up in `ConnectError`, in logs and in the output of commands.
 */
import { ConfigError, PortInUseError } from '../base/errors.js';

const WORDS: ReadonlyMap<string, string> = new Map([
  ['ECONNREFUSED', 'connection refused'],
  ['ECONNRESET', 'connection reset by the other side'],
  ['ECONNABORTED', 'connection aborted'],
  ['EPIPE', 'connection closed by the other side'],
  ['ENOTFOUND', 'host not found'],
  ['EAI_AGAIN', 'host not found: the name server does not answer'],
  ['ETIMEDOUT', 'connection timed out'],
  ['EHOSTUNREACH', 'host unreachable'],
  ['ENETUNREACH', 'network unreachable'],
  ['EADDRNOTAVAIL', 'address not available'],
  ['EMFILE', 'too many open files in this process'],
]);

function codeOf(error: Error): string | undefined {
  // A name with several addresses fails with one error for each; the first stands for all.
  const first = error instanceof AggregateError ? (error.errors[0] as Error | undefined) : undefined;
  const code = (error as NodeJS.ErrnoException).code ?? (first as NodeJS.ErrnoException | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}

/** Why a connection could not be made or was lost, in a few words. */
export function describeFailure(error: Error): string {
  const code = codeOf(error);
  const words = code === undefined ? undefined : WORDS.get(code);
  if (words !== undefined) return words;
  return error.message === '' ? (code ?? 'unknown error') : error.message;
}

/** True when ws refused a message for its length. */
export function isFrameTooLarge(error: Error): boolean {
  return codeOf(error) === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH';
}

/** The error of the registry for a port that could not be opened; others come back as they are. */
export function listenError(error: Error, host: string, port: number): Error {
  switch (codeOf(error)) {
    case 'EADDRINUSE':
      return new PortInUseError(
        `port ${port} on ${host} is in use by another process; stop that process, choose another port, or 0 for a free one`,
        { cause: error },
      );
    case 'EACCES':
      return new ConfigError(
        'port',
        `this user may not open port ${port} on ${host}; choose one from 1024 to 65535`,
      );
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new ConfigError('host', `${host} is not an address of this machine`);
    default:
      return error;
  }
}
