/**
 * `host:port` texts of network addresses; the transport reads and writes them.
 * Invariant: what `parseAddress` lets through is a host and a port and nothing else, so it can be put
 * into a URL as it is.
 */

const ADDRESS = /^(\[[0-9a-f:.]+\]|[a-z0-9_.-]+):([0-9]{1,5})$/i;

/** The address as it stands in a URL; undefined when it is not `host:port` or `[IPv6]:port`. */
export function parseAddress(address: string): string | undefined {
  const match = ADDRESS.exec(address);
  if (match === null) return undefined;
  const port = Number(match[2]);
  return port >= 1 && port <= 65_535 ? `${match[1]}:${port}` : undefined;
}

/** A socket's end as `host:port`; IPv4 in IPv6 clothes is shown as IPv4. */
export function formatAddress(host: string | undefined, port: number | undefined): string {
  if (host === undefined) return 'unknown:0';
  const plain = host.startsWith('::ffff:') && host.includes('.') ? host.slice('::ffff:'.length) : host;
  return plain.includes(':') ? `[${plain}]:${port ?? 0}` : `${plain}:${port ?? 0}`;
}
